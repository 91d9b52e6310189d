/** Files of many latents, read by ranges: the last ones that were used stay open. */
import { type FileHandle, open } from "node:fs/promises";
import { DataError } from "@dcae/core";
import { fileError } from "@dcae/core/checkpoint";
import { createLoadedCache } from "@dcae/core/internal";

/** Open files that a data set keeps. */
const MAX_HANDLES = 64;

export interface ShardFiles {
  /** @throws DataError when the range isn't there any more */
  read(path: string, range: { readonly offset: number; readonly size: number }): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** @param folder for messages */
export function shardFiles(folder: string): ShardFiles {
  const files = createLoadedCache<FileHandle>({
    name: folder,
    limit: MAX_HANDLES,
    free: (handle) => handle.close(),
  });
  return {
    async read(path, { offset, size }) {
      const buffer = new Uint8Array(size);
      const { bytesRead } = await files
        .use(
          path,
          () => open(path, "r"),
          (handle) => handle.read(buffer, 0, size, offset),
        )
        .catch((error) => {
          throw fileError(error, path, "read");
        });
      if (bytesRead < size) throw new DataError(`${path}: ended while it was read`);
      return buffer;
    },
    close: files.dispose,
  };
}

/** The last shard that begins at `index` or before: shards from which pictures were left out are shorter. */
export function shardOf(shards: readonly { readonly start: number }[], index: number): number {
  let [low, high] = [0, shards.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((shards[middle] as { readonly start: number }).start <= index) low = middle;
    else high = middle;
  }
  return low;
}

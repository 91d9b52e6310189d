/** Picture files of a folder and its subfolders, sorted by path. */
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { errorMessage } from "@dcae/core/graph";
import { decodeImage, dmCrop, listPictures, PILLOW_DECODE } from "@dcae/core/image";
import type { Protocol } from "../protocols/protocol.js";
import { type Picture, type PictureSource, readAhead, type Shard, shardBounds } from "./picture-source.js";

/** Decoded pictures that wait for their turn; each may have some megabytes. */
const AHEAD = Math.max(4, 2 * availableParallelism());

/** Files whose size is asked for at once; a set may have a million. */
const STATS_AT_ONCE = 256;

export interface FolderOptions {
  /** How files are read and cropped. */
  readonly protocol: Pick<Protocol, "crop" | "size" | "decoding">;
  /** Only the first pictures. */
  readonly limit?: number | undefined;
  /** Only a part (of what `limit` leaves). */
  readonly shard?: Shard | undefined;
}

/** Names alone: a shard shouldn't have to look at every file of the set. */
function setFingerprintOf(files: readonly string[]): string {
  const hash = createHash("sha256");
  for (const file of files) hash.update(`${file}\n`);
  return hash.digest("hex");
}

async function fingerprintOf(folder: string, files: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  const sizeOf = (file: string) =>
    stat(join(folder, file)).then(
      ({ size }) => size,
      () => -1,
    );
  for (let start = 0; start < files.length; start += STATS_AT_ONCE) {
    const part = files.slice(start, start + STATS_AT_ONCE);
    const sizes = await Promise.all(part.map(sizeOf));
    for (const [i, file] of part.entries()) hash.update(`${file}\0${sizes[i]}\n`);
  }
  return hash.digest("hex");
}

/**
 * The pictures of a folder, cropped as the protocol asks.
 *
 * @throws DataError when the folder can't be read or has no pictures
 */
export async function folderSource(folder: string, options: FolderOptions): Promise<PictureSource> {
  const { protocol, limit, shard } = options;
  const { files: all, leftOut } = await listPictures(folder);
  const limited = limit === undefined ? all : all.slice(0, limit);
  const files = shard === undefined ? limited : limited.slice(...shardBounds(limited.length, shard));
  const decoding = protocol.decoding === "pillow" ? PILLOW_DECODE : {};

  async function read(index: number): Promise<Picture> {
    const name = files[index] as string;
    try {
      const image = await decodeImage(join(folder, name), decoding);
      const { crop, size } = protocol;
      return { index, name, image: crop === "none" || size === null ? image : dmCrop(image, size) };
    } catch (error) {
      // The name stands beside the problem already.
      return { index, name, image: undefined, problem: errorMessage(error).replace(`${join(folder, name)}: `, "") };
    }
  }

  return {
    name: folder,
    count: files.length,
    fingerprint: await fingerprintOf(folder, files),
    setFingerprint: setFingerprintOf(limited),
    setCount: limited.length,
    leftOut,
    read: (start) => readAhead(start, files.length, AHEAD, read),
  };
}

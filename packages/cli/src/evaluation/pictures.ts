/** The pictures of an evaluation: a folder with its subfolders, or an archive in ADM's layout. */
import { stat } from "node:fs/promises";
import { DataError, type Image } from "@dcae/core";
import {
  folderSource,
  npzSource,
  openReference,
  type PictureSource,
  type Protocol,
  type Reference,
  type Shard,
} from "@dcae/eval";
import type { CliIo } from "../cli-io.js";
import { noteLeftOut } from "../files/list-files.js";
import { UsageError } from "../usage-error.js";

export interface OpenPicturesOptions {
  /** The option or argument that the path comes from, for messages. */
  readonly option: string;
  readonly limit?: number | undefined;
  readonly shard?: Shard | undefined;
}

/**
 * What samples are compared with, if anything.
 *
 * @throws DataError when it isn't there or holds neither pictures nor statistics
 */
export async function findReference(
  path: string | undefined,
  protocol: Protocol,
  io: Pick<CliIo, "note">,
): Promise<Reference | undefined> {
  if (path === undefined) return undefined;
  const status = await stat(path).catch(() => undefined);
  if (status === undefined) throw new DataError(`--reference ${path}: no such folder or file`);
  const reference = await openReference(path, protocol);
  noteLeftOut(io, path, { leftOut: reference.pictures?.leftOut ?? new Map() });
  return reference;
}

/**
 * Opens a folder or an .npz archive; what a folder holds besides is said on `io`.
 *
 * @throws DataError when there are no pictures, UsageError for options without effect
 */
export async function openPictures(
  path: string,
  protocol: Protocol,
  { option, limit, shard }: OpenPicturesOptions,
  io: Pick<CliIo, "note">,
): Promise<PictureSource> {
  const status = await stat(path).catch(() => undefined);
  if (status === undefined) throw new DataError(`${option} ${path}: no such folder or file`);
  if (status.isDirectory()) {
    const source = await folderSource(path, { protocol, limit, shard });
    noteLeftOut(io, path, { leftOut: source.leftOut ?? new Map() });
    return source;
  }
  if (!path.toLowerCase().endsWith(".npz")) {
    throw new DataError(`${option} ${path}: expected a folder of pictures, or an .npz archive`);
  }
  if (protocol.size !== null) {
    throw new UsageError(`--size has no effect on ${path}: the pictures of an archive are taken as they are`);
  }
  if (shard !== undefined) throw new UsageError(`--shard: ${path} is an archive; only folders are cut into shards`);
  return npzSource(path, { limit });
}

// Keeps some pictures of a source while they are read, for a report, so that samples aren't made twice.

export interface KeptPictures {
  /** Gives the same pictures as the source. */
  readonly source: PictureSource;
  /** The pictures, in order; those that weren't read (an earlier run had done them) are read now. */
  pictures(): Promise<Image[]>;
}

/** `count` positions spread evenly over `total`, so that a folder with a subfolder per class shows many of them. */
export function spreadPositions(total: number, count: number): number[] {
  const shown = Math.min(count, total);
  return Array.from({ length: shown }, (_, i) => Math.floor((i * total) / shown));
}

/** @param positions in ascending order */
export function keepPictures(source: PictureSource, positions: readonly number[]): KeptPictures {
  const wanted = new Set(positions);
  const kept = new Map<number, Image | undefined>();

  async function* read(start: number) {
    for await (const picture of source.read(start)) {
      if (wanted.has(picture.index)) kept.set(picture.index, picture.image);
      yield picture;
    }
  }

  return {
    source: { ...source, read },
    async pictures() {
      const images: Image[] = [];
      for (const position of positions) {
        // What comes along with it may be wanted too.
        if (!kept.has(position)) for await (const { index } of read(position)) if (!wanted.has(index + 1)) break;
        const image = kept.get(position);
        if (image !== undefined) images.push(image);
      }
      return images;
    },
  };
}

/** The pictures of an evaluation: a folder with its subfolders, or an archive in ADM's layout. */
import { stat } from "node:fs/promises";
import { DataError } from "@dcae/core";
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
import { noteLeftOut } from "../files/note-left-out.js";
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

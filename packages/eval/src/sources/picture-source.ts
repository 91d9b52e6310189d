/**
 * Where pictures come from: folders, archives, samplers, memory. A source is read in order from any position, so that a run can go
 * on where it stopped, and a picture that can't be read is reported instead of ending the run.
 */

import { createHash } from "node:crypto";
import { ConfigError, type Image } from "@dcae/core";
import type { LeftOut } from "@dcae/core/image";

export interface Picture {
  readonly index: number;
  /** Relative path or number, for reports. */
  readonly name: string;
  /** Undefined where it couldn't be read. */
  readonly image: Image | undefined;
  /** Why it couldn't be read, one line. */
  readonly problem?: string;
}

export interface PictureSource {
  /** For messages and reports. */
  readonly name: string;
  readonly count: number;
  /** Changes when other pictures would come; decides whether a stopped run may go on. */
  readonly fingerprint: string;
  /** That of the whole set, of which this may be a shard. */
  readonly setFingerprint: string;
  /** What a folder holds besides; other sources have nothing of the kind. */
  readonly leftOut?: LeftOut;
  /** The pictures from `start` on, in order. */
  read(start: number): AsyncGenerator<Picture>;
}

/** A part of a set: contiguous, parts of nearly equal size. */
export interface Shard {
  /** From 0. */
  readonly index: number;
  readonly of: number;
}

/**
 * First and last position (exclusive) of a shard among `count` items.
 *
 * @throws ConfigError when there is no such shard
 */
export function shardBounds(count: number, { index, of }: Shard): [start: number, end: number] {
  if (!Number.isInteger(index) || !Number.isInteger(of) || of < 1 || index < 0 || index >= of) {
    throw new ConfigError(`shard: ${index} of ${of} doesn't exist`, { hint: "Shards are numbered from 0." });
  }
  const bound = (i: number) => Math.floor((i * count) / of);
  return [bound(index), bound(index + 1)];
}

/**
 * Reads up to `ahead` items at once and gives them in order, so that decoding goes on while the consumer computes.
 *
 * @param read must not reject
 */
export async function* readAhead<T>(
  start: number,
  end: number,
  ahead: number,
  read: (index: number) => Promise<T>,
): AsyncGenerator<T> {
  const waiting: Promise<T>[] = [];
  let next = start;
  while (next < end || waiting.length > 0) {
    while (next < end && waiting.length < ahead) waiting.push(read(next++));
    yield (await waiting.shift()) as T;
  }
}

export interface GeneratedOptions {
  readonly name: string;
  readonly count: number;
  /** Whatever decides which pictures come: seed, model, settings. */
  readonly fingerprint: string;
  /** The pictures from position `start`, one batch at a time, in any batch size. */
  readonly generate: (start: number) => AsyncIterable<readonly Image[]>;
}

/** Pictures that are generated while they are read. */
export function generatedSource({ name, count, fingerprint, generate }: GeneratedOptions): PictureSource {
  async function* read(start: number): AsyncGenerator<Picture> {
    let index = start;
    for await (const images of generate(start)) {
      for (const image of images) {
        if (index >= count) return;
        yield { index, name: String(index), image };
        index++;
      }
    }
  }
  return { name, count, fingerprint, setFingerprint: fingerprint, read };
}

/** Pictures of an array. */
export function memorySource(name: string, images: readonly Image[]): PictureSource {
  const hash = createHash("sha256");
  for (const { width, height, data } of images) hash.update(`${width}x${height}\n`).update(data);
  return generatedSource({
    name,
    count: images.length,
    fingerprint: hash.digest("hex"),
    generate: async function* (start) {
      yield images.slice(start);
    },
  });
}

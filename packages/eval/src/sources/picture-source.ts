/**
 * Where pictures come from: folders, archives, samplers, memory. A source is read in order from any position, so that a run can go
 * on where it stopped, and a picture that can't be read is reported instead of ending the run.
 */

import { createHash } from "node:crypto";
import { ConfigError, DataError, type Image } from "@dcae/core";
import type { LeftOut } from "@dcae/core/image";
import { plural } from "@dcae/core/internal";

export interface Picture {
  readonly index: number;
  /** Relative path or number, for reports. */
  readonly name: string;
  /** Undefined where it couldn't be read. */
  readonly image: Image | undefined;
  /** Why it couldn't be read, one line. */
  readonly problem?: string;
}

/** Pictures that are read in order: a folder, an archive, memory, or a generator. */
export interface PictureSource {
  /** For messages and reports. */
  readonly name: string;
  readonly count: number;
  /** Changes when other pictures would come; decides whether a stopped run may go on. */
  readonly fingerprint: string;
  /** That of the whole set, of which this may be a shard. */
  readonly setFingerprint: string;
  /** Pictures of that set, where this is a shard. */
  readonly setCount?: number;
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

// What a run says about pictures that couldn't be used.

/** A picture that couldn't be read, or doesn't fit the model or a metric. */
export interface Unusable {
  readonly name: string;
  readonly problem: string;
}

/** Thrown where no picture of a source can be used. */
export class NoPicturesError extends DataError {
  override readonly name: string = "NoPicturesError";
}

/** The error of a run in which no picture could be used. */
export function nothingUsable(source: PictureSource, unusable: readonly Unusable[]): NoPicturesError {
  const [first] = unusable;
  const example = first === undefined ? "" : `; the first one is ${first.name}: ${first.problem}`;
  return new NoPicturesError(`${source.name}: none of its ${plural(source.count, "picture")} could be used${example}`);
}

/** What a reader must know when two sets of pictures have different sizes; undefined where they aren't known. */
export function sizeWarnings(
  samples: Readonly<Record<string, number>>,
  reference: Readonly<Record<string, number>> | undefined,
): string[] {
  const [own, other] = [samples, reference ?? {}].map((sizes) => Object.keys(sizes).sort());
  if (own?.length === 0 || other?.length === 0 || own?.join() === other?.join()) return [];
  const shown = (list: readonly string[] = []) => `${list.slice(0, 5).join(", ")}${list.length > 5 ? ", ..." : ""}`;
  return [
    `the samples have ${shown(own)} pixels, the pictures of the reference ${shown(other)}; compare sets of one size only`,
  ];
}

/** What a reader must know about the pictures. */
export function pictureWarnings(
  source: PictureSource,
  unusable: readonly Unusable[],
  sizes: Readonly<Record<string, number>>,
): string[] {
  const warnings: string[] = [];
  if (unusable.length > 0) {
    const shown = unusable.slice(0, 5).map(({ name }) => name);
    const more = unusable.length > shown.length ? `, and ${unusable.length - shown.length} more` : "";
    warnings.push(
      `${unusable.length} of ${plural(source.count, "picture")} couldn't be used and were left out: ${shown.join(", ")}${more}`,
    );
  }
  const kinds = Object.keys(sizes);
  if (kinds.length > 1) {
    warnings.push(
      `${source.name}: the pictures have ${kinds.length} different sizes (${kinds.slice(0, 5).join(", ")}${kinds.length > 5 ? ", ..." : ""}); ` +
        "published protocols use one",
    );
  }
  return warnings;
}

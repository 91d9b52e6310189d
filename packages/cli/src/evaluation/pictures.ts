/** The pictures of an evaluation: a folder with its subfolders, an archive in ADM's layout, or the samples of a diffusion model. */
import { stat } from "node:fs/promises";
import { DataError, type Image, tensorToImages } from "@dcae/core";
import { weightsFingerprint } from "@dcae/core/checkpoint";
import { createRandom } from "@dcae/core/graph";
import type { ClassConditionalPipeline, SampleOptions } from "@dcae/diffusion";
import {
  folderSource,
  generatedSource,
  npzSource,
  openReference,
  type PictureSource,
  type Protocol,
  type Reference,
  type Shard,
} from "@dcae/eval";
import type { CliIo } from "../cli-io.js";
import { UsageError } from "../errors.js";
import { noteLeftOut } from "../files/paths.js";
import { pipelineLabel } from "../options/sampling-options.js";

interface OpenPicturesOptions {
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

interface KeptPictures {
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

// Samples, made while they are read. Classes are uniform random ones and picture i gets its noise from (seed, i), as in the
// published evaluations, so that a run goes on where it was stopped.

export interface SampledSourceOptions {
  readonly count: number;
  /** Classes to draw from; null for a model without classes. */
  readonly classes: readonly number[] | null;
  readonly sampling: SampleOptions;
  readonly batchSize: number;
  readonly protocol: Pick<Protocol, "rounding">;
  /** What else decides the pictures: device and precision. */
  readonly settings: readonly string[];
  readonly signal: AbortSignal;
}

/** The classes of all pictures, by the seed. */
export function drawClasses(count: number, classes: readonly number[] | null, seed: number | bigint): number[] {
  if (classes === null) return new Array<number>(count).fill(0);
  const draws = createRandom(seed, "classes").uniform(new Float32Array(count), 0, classes.length);
  return Array.from(draws, (draw) => classes[Math.min(Math.floor(draw), classes.length - 1)] as number);
}

/** The pipeline stays the caller's. */
export async function sampledSource(
  pipeline: ClassConditionalPipeline,
  { count, classes, sampling, batchSize, protocol, settings, signal }: SampledSourceOptions,
): Promise<PictureSource> {
  const { seed = 0 } = sampling;
  const labels = drawClasses(count, classes, seed);
  const { weights, decoder } = pipeline;
  const fingerprints = [await weightsFingerprint(weights)];
  if (decoder?.weights !== undefined) fingerprints.push(await weightsFingerprint(decoder.weights));
  const facts = { ...sampling, seed: String(seed), count, classes, batchSize, rounding: protocol.rounding, settings };

  async function* generate(start: number) {
    // Whole batches as from the beginning: some samplers couple the pictures of a batch.
    for (let first = start - (start % batchSize); first < count; first += batchSize) {
      const part = labels.slice(first, first + batchSize).map((label) => pipelineLabel(pipeline.description, label));
      const latents = await pipeline.sampleLatents({ ...sampling, labels: part, offset: first, batchSize, signal });
      for (const i of part.keys()) {
        if (first + i < start) continue;
        // One by one, which bounds the memory.
        yield tensorToImages(await pipeline.decode(latents.slice([{ start: i, stop: i + 1 }])), {
          rounding: protocol.rounding,
        });
      }
    }
  }

  return generatedSource({
    name: `samples of ${pipeline.name}`,
    count,
    fingerprint: [...fingerprints, JSON.stringify(facts)].join(" "),
    generate,
  });
}

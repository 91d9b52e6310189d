/** Pictures as a training's configuration names them. */

import { readdir, stat } from "node:fs/promises";
import { fileError } from "@dcae/core/checkpoint";
import { ConfigError, DataError } from "@dcae/core/graph";
import { describeLeftOut, isPictureName, whyIgnored } from "@dcae/core/image";
import { type Communicator, requireSame } from "@dcae/core/internal";
import {
  type DataConfig,
  type DataSourceConfig,
  sidesOf,
  type TrainingConfig,
  type TrainingPhase,
} from "../configs/schema.js";
import { describeSmall, largeEnough } from "../data/large-enough.js";
import {
  type BatchPart,
  createPictureLoader,
  type LoaderPosition,
  type PictureLoader,
  type WeightedSource,
} from "../data/picture-loader.js";
import { fileSource, sceneSource } from "../data/picture-source.js";
import { isArchiveName, shardSource } from "../data/shard-source.js";
import type { TrainingBatches } from "../data/training-batches.js";
import { AUGMENT_DRAWS, drawAugmentations } from "../phases/diff-augment.js";
import { SCENE_CLASSES, type SceneClass } from "../scenes/draw-scene.js";

/** Far from the seeds of any training: 2^40. */
const HELD_OUT_SCENES = 2 ** 40;

async function openSource(source: DataSourceConfig): Promise<WeightedSource> {
  const { weight } = source;
  if (source.kind === "folder") return { source: await fileSource(source.path), weight };
  if (source.kind === "shards") return { source: await shardSource(source.path), weight };
  const { seed, count, classes } = source;
  const scenes = sceneSource({
    seed,
    ...(count === undefined ? {} : { count }),
    classes: (classes as readonly SceneClass[] | undefined) ?? SCENE_CLASSES,
  });
  return { source: scenes, weight };
}

/**
 * Opens all sources.
 *
 * @param onMessage hears what folders and archives hold besides pictures, and which of these are too small
 * @param minSide pictures with a shorter side are left out; default: none
 * @throws DataError when one can't be read or has no picture of that size; ConfigError when only some have a weight
 */
export async function openSources(
  sources: readonly DataSourceConfig[],
  onMessage?: (text: string) => void,
  minSide?: number,
): Promise<WeightedSource[]> {
  const weighted = sources.filter(({ weight }) => weight !== undefined).length;
  if (weighted !== 0 && weighted !== sources.length) {
    throw new ConfigError("data: some sources have a weight and others don't", {
      hint: "Give all of them one, or none: then each counts by its number of pictures.",
    });
  }
  // Scenes have no end: beside real pictures their number says nothing about how many of them are wanted.
  if (
    weighted === 0 &&
    sources.length > 1 &&
    sources.some(({ kind, ...rest }) => kind === "scenes" && !("count" in rest))
  ) {
    throw new ConfigError("data: scenes beside other sources need a weight (for all sources) or a count");
  }
  const opened = await Promise.all(sources.map(openSource));
  for (const { source } of opened) {
    const others = describeLeftOut(source.leftOut ?? new Map());
    if (others !== undefined) onMessage?.(`${source.name}: left out ${others}`);
  }
  if (minSide === undefined) return opened;
  const filtered: WeightedSource[] = [];
  for (const [i, { source, weight }] of opened.entries()) {
    if (sources[i]?.kind === "scenes") {
      filtered.push({ source, weight });
      continue;
    }
    const { source: large, small } = await largeEnough(source, minSide);
    if (small.length > 0) onMessage?.(`${source.name}: ${describeSmall(small, minSide)}`);
    filtered.push({ source: large, weight });
  }
  return filtered;
}

/** Below which side pictures are left out of phases: "size" is the largest that they train at. */
export function minSideOf(
  { minSide }: Pick<DataConfig, "minSide">,
  ...phases: readonly Pick<TrainingPhase, "size" | "sizes">[]
): number | undefined {
  return minSide === "size" ? Math.max(...phases.flatMap(sidesOf).map(({ size }) => size)) : minSide;
}

/** A picture that can't be read, as a message. */
export function describeUnreadable(name: string, problem: string): string {
  return problem.startsWith(name) ? problem : `${name}: ${problem}`;
}

/** The rows of a rank, in the order of ranks. */
function batchPart(batch: number, ranks: Communicator | undefined): BatchPart {
  if (ranks === undefined) return { start: 0, stop: batch, share: async (unreadable) => unreadable };
  const { rank, size } = ranks;
  const rows = batch / size;
  return {
    start: rank * rows,
    stop: (rank + 1) * rows,
    share: async (unreadable) => (await ranks.gather("unreadable pictures", unreadable)).flat(),
  };
}

/** Batches of a phase, as the loop takes them, of a rank its rows; `onMessage` hears of what is left out and of what can't be read. */
export async function openBatches(
  data: DataConfig,
  phase: Pick<TrainingPhase, "size" | "sizes" | "batch" | "accumulate" | "gan">,
  seed: number,
  position: unknown,
  onMessage: (text: string) => void,
  ranks?: Communicator,
): Promise<TrainingBatches> {
  const part = batchPart(phase.batch, ranks);
  const { sources, shuffle, crop, flip, decode, maxCorrupt, prefetch, workers } = data;
  const opened = await openSources(sources, onMessage, minSideOf(data, phase));
  await requireSame(ranks, { data: opened.map(({ source }) => source.fingerprint).join() });
  const loader: PictureLoader = createPictureLoader(
    {
      sources: opened,
      batch: phase.batch,
      size: phase.size,
      sizes: phase.sizes,
      batchesPerSize: phase.accumulate,
      seed,
      shuffle,
      crop,
      flip,
      decode,
      maxCorrupt,
      prefetch,
      workers,
      part,
      onCorrupt: (name, problem) => onMessage(describeUnreadable(name, problem)),
    },
    position as LoaderPosition | undefined,
  );
  const augments = phase.gan?.augment !== undefined;
  let samples = (position as LoaderPosition | undefined)?.samples ?? 0;
  return {
    async next() {
      const batch = await loader.next();
      const draws = augments
        ? { [AUGMENT_DRAWS]: drawAugmentations(seed, samples + part.start, part.stop - part.start, batch.size) }
        : {};
      samples = batch.position.samples;
      return { inputs: { x: batch.images, ...draws }, images: phase.batch, position: batch.position };
    },
    close: () => loader.close(),
  };
}

/** The pictures to evaluate on, and what to call them. */
export function validationSources({ data, validation }: Pick<TrainingConfig, "data" | "validation">): {
  readonly sources: readonly DataSourceConfig[];
  readonly what: string;
} {
  if (validation.sources !== undefined) return { sources: validation.sources, what: "the validation pictures" };
  if (data.sources.every(({ kind }) => kind === "scenes")) {
    return { sources: [{ kind: "scenes", seed: HELD_OUT_SCENES }], what: "scenes that training doesn't see" };
  }
  return { sources: data.sources, what: "the first pictures of the training data (give `validation` to change that)" };
}

/**
 * Whether a path holds picture files or shards, for users who name it without saying so: looks at the names at the top of a folder, at the ending of a file.
 *
 * @throws DataError when there is nothing, or a folder has both
 */
export async function detectSource(path: string): Promise<"folder" | "shards"> {
  let names: string[];
  try {
    if (!(await stat(path)).isDirectory()) {
      if (isArchiveName(path) || /\.json$/i.test(path)) return "shards";
      throw new DataError(`${path}: neither a folder of pictures, nor a .tar or .zip shard or the .json index of some`);
    }
    names = (await readdir(path)).filter((name) => whyIgnored(name) === undefined);
  } catch (error) {
    throw fileError(error, path, "read");
  }
  if (!names.some(isArchiveName)) return "folder";
  if (names.some(isPictureName)) {
    throw new DataError(`${path}: has both pictures and archives`, { hint: "Put them into folders of their own." });
  }
  return "shards";
}

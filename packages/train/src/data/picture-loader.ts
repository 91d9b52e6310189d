/**
 * Batches of pictures, made ahead while the engine computes.
 *
 * Pictures are consumed in the order of the sampler, whichever is ready first, so that threads and timing change nothing. Each
 * batch comes with the position behind its last picture: whoever saves that with a checkpoint resumes at the very next one,
 * whatever had been made ahead. At most `prefetch` batches of pictures are in memory beside the current one.
 *
 * A picture that can't be read is counted, named and passed over; after `maxCorrupt` different ones the data set itself must
 * be wrong, and the run stops.
 */

import { createRandom, DataError, type Tensor } from "@dcae/core/graph";
import { type Image, imagesToTensor } from "@dcae/core/image";
import { plural } from "@dcae/core/internal";
import type { SizeShare } from "../configs/schema.js";
import { createPictureMaker, type PictureMaker } from "./picture-maker.js";
import { type Crop, type DecodeWay, type PictureView, recipeName } from "./picture-recipe.js";
import { createPictureSampler, type Sample, type SamplerPosition, startPosition } from "./picture-sampler.js";
import type { RecipeSource } from "./picture-source.js";

export interface WeightedSource {
  readonly source: RecipeSource;
  /** Default: the number of its pictures, so that all pictures are equally likely. */
  readonly weight?: number | undefined;
}

export interface PictureLoaderOptions {
  readonly sources: readonly WeightedSource[];
  readonly batch: number;
  /** Side of the squares, in pixels. */
  readonly size: number;
  /** Several sides in place of one, drawn for batches in proportion to their shares. */
  readonly sizes?: readonly SizeShare[] | undefined;
  /** Batches in a row of one side, as of the chunks of an update. Default 1. */
  readonly batchesPerSize?: number;
  readonly seed: number;
  /** Default true. */
  readonly shuffle?: boolean;
  /** Default "center". */
  readonly crop?: Crop;
  /** Mirrors half of the pictures. Default false. */
  readonly flip?: boolean;
  /** Default "exact". */
  readonly decode?: DecodeWay | undefined;
  /** Different unreadable pictures after which loading fails. Default 100. */
  readonly maxCorrupt?: number;
  /** Batches made ahead. Default 2. */
  readonly prefetch?: number;
  /** Threads; see `createPictureMaker`. */
  readonly workers?: number | undefined;
  /** Hears of each unreadable picture once. */
  readonly onCorrupt?: ((name: string, problem: string) => void) | undefined;
  /** Which rows of every batch are made, where others make the rest. Default: all. */
  readonly part?: BatchPart | undefined;
}

/** Rows `start` to `stop` (excluded) of every batch. */
export interface BatchPart {
  readonly start: number;
  readonly stop: number;
  /** What can't be read of all rows of a batch: what could not be read here goes out, and that of everybody comes back. */
  share(unreadable: readonly Unreadable[]): Promise<readonly Unreadable[]>;
}

/** A picture that can't be read, by the number of its sample. */
export interface Unreadable {
  readonly number: number;
  readonly name: string;
  readonly problem: string;
}

/** Where the next batch starts, as JSON. */
export interface LoaderPosition extends SamplerPosition {
  /** Unreadable pictures, as [source, index]. */
  readonly corrupt: readonly (readonly [source: number, index: number])[];
  /** Fingerprints of the sources: the position means nothing in others. */
  readonly fingerprints: readonly string[];
  /** Batches made so far, where their sides are drawn. */
  readonly batches?: number;
}

export interface PictureBatch {
  /** [rows of the part, 3, size, size] in [-1, 1]. */
  readonly images: Tensor<"float32">;
  /** Side of its pictures. */
  readonly size: number;
  /** Of the next batch. */
  readonly position: LoaderPosition;
}

export interface PictureLoader {
  /** @throws DataError when too many pictures can't be read */
  next(): Promise<PictureBatch>;
  close(): Promise<void>;
}

type Outcome = { readonly image: Image } | Pick<Unreadable, "name" | "problem">;

interface Job {
  readonly sample: Sample;
  /** Being made, for that side; undefined where it isn't among this part's rows. */
  made?: { readonly size: number; readonly outcome: Promise<Outcome> };
  isUnreadable: boolean;
}

/** Words of the augmentation stream that belong to one sample. */
const WORDS_PER_SAMPLE = 6;
/** Share of center crops under "center-or-random": the public sampler takes one normal and compares it with 0.5. */
const CENTER_BELOW = 0.5;

/** The side of batch number `batch`: a word of a stream of its own for each. */
function drawSize({ size, sizes, batchesPerSize = 1, seed }: PictureLoaderOptions, batch: number): number {
  if (sizes === undefined) return size;
  const random = createRandom(seed, "data/size");
  random.seek(Math.floor(batch / batchesPerSize));
  let left = random.nextUniform() * sizes.reduce((sum, { share }) => sum + share, 0);
  const drawn = sizes.find(({ share }) => {
    left -= share;
    return left < 0;
  });
  return (drawn ?? (sizes.at(-1) as SizeShare)).size;
}

function drawView(options: PictureLoaderOptions, number: number, size: number): PictureView {
  const { seed, crop = "center", flip = false, decode } = options;
  const random = createRandom(seed, "data/view");
  random.seek(WORDS_PER_SAMPLE * number);
  const mirrored = random.nextUniform() < 0.5;
  const corner = [random.nextUniform(), random.nextUniform()] as const;
  const centered = crop === "center" || (crop === "center-or-random" && random.nextNormal() < CENTER_BELOW);
  const view = { size, corner: centered ? null : corner, flip: flip && mirrored, decode };
  return crop === "random-resized" ? { ...view, scale: random.nextUniform() } : view;
}

/**
 * Starts loading.
 *
 * @param from a position of a loader over the same sources
 * @throws DataError when the sources are not those of the position
 */
export function createPictureLoader(options: PictureLoaderOptions, from?: LoaderPosition): PictureLoader {
  const { sources, batch, seed, shuffle = true, maxCorrupt = 100, prefetch = 2, onCorrupt } = options;
  const { part = { start: 0, stop: batch, share: async (unreadable) => unreadable } } = options;
  const list = sources.map(({ source }) => source);
  const fingerprints = list.map(({ fingerprint }) => fingerprint);
  if (from !== undefined && from.fingerprints.join() !== fingerprints.join()) {
    throw new DataError(`data: ${list.map(({ name }) => name).join(", ")} changed since the position was saved`, {
      hint: "Restore the files, or start a new run from the checkpoint's model.",
    });
  }
  const sampler = createPictureSampler(
    {
      sources: sources.map(({ source: { count, ordered }, weight }) => ({ count, ordered, weight: weight ?? count })),
      seed,
      shuffle,
    },
    from,
  );
  const maker: PictureMaker = createPictureMaker(options.workers);
  const corrupt = new Map(
    (from?.corrupt ?? []).map(([source, index]) => [`${source}/${index}`, [source, index] as const]),
  );
  const jobs: Job[] = [];
  const everything = list.reduce((sum, { count }) => sum + count, 0);
  let batches = from?.batches ?? 0;
  let current: SamplerPosition = from ?? startPosition(sources);

  async function make(sample: Sample, size: number): Promise<Outcome> {
    const source = list[sample.source] as RecipeSource;
    let name = `${source.name}: picture ${sample.index}`;
    try {
      const recipe = await source.recipe(sample.index);
      name = recipeName(recipe);
      return { image: await maker.make(recipe, drawView(options, sample.number, size)) };
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      return { name, problem: error.message };
    }
  }

  function start(job: Job, size: number): Promise<Outcome> {
    // One that couldn't be read has moved the others to an earlier batch, which may have another side.
    if (job.made?.size === size) return job.made.outcome;
    const outcome = make(job.sample, size);
    // Who consumes the job sees the error; until then it isn't an unhandled one.
    outcome.catch(() => undefined);
    job.made = { size, outcome };
    return outcome;
  }

  const isReadable = ({ isUnreadable }: Job) => !isUnreadable;

  /** Draws the samples of this batch and those ahead of it, and begins with those of this part. */
  function fill(): Job[] {
    let readable = jobs.filter(isReadable);
    for (; readable.length < batch * (prefetch + 1); readable = jobs.filter(isReadable)) {
      const missing = batch * (prefetch + 1) - readable.length;
      for (let i = 0; i < missing; i++) jobs.push({ sample: sampler.next(), isUnreadable: false });
    }
    for (const [position, job] of readable.entries()) {
      const row = position % batch;
      if (row >= part.start && row < part.stop) start(job, drawSize(options, batches + Math.floor(position / batch)));
    }
    return readable.slice(0, batch);
  }

  function giveUpOn({ source, index }: Sample, { name, problem }: Pick<Unreadable, "name" | "problem">): void {
    const key = `${source}/${index}`;
    if (corrupt.has(key)) return;
    corrupt.set(key, [source, index]);
    onCorrupt?.(name, problem);
    if (corrupt.size <= maxCorrupt && corrupt.size < everything) return;
    throw new DataError(`data: ${plural(corrupt.size, "picture")} can't be read; the last one: ${problem}`, {
      hint: "Check the files and their formats; `maxCorrupt` says how many may be unreadable.",
    });
  }

  /** The batch's samples, and the pictures of this part's: no row of it can't be read. */
  async function readRows(side: number): Promise<{ readonly rows: readonly Job[]; readonly images: Image[] }> {
    for (;;) {
      const rows = fill();
      const own = rows.slice(part.start, part.stop);
      const outcomes = await Promise.all(own.map((job) => start(job, side)));
      const images = outcomes.flatMap((outcome) => ("image" in outcome ? [outcome.image] : []));
      const failed = outcomes.flatMap((outcome, i): Unreadable[] =>
        "image" in outcome ? [] : [{ number: (own[i] as Job).sample.number, ...outcome }],
      );
      const all = await part.share(failed);
      if (all.length === 0) return { rows, images };
      const problems = new Map(all.map((unreadable) => [unreadable.number, unreadable]));
      for (const job of rows) {
        const unreadable = problems.get(job.sample.number);
        if (unreadable === undefined) continue;
        job.isUnreadable = true;
        giveUpOn(job.sample, unreadable);
      }
    }
  }

  return {
    async next() {
      const side = drawSize(options, batches);
      const { rows, images } = await readRows(side);
      const last = rows.at(-1) as Job;
      current = last.sample.after;
      jobs.splice(0, jobs.indexOf(last) + 1);
      batches += 1;
      const { samples, sources: places } = current;
      const position = { samples, sources: places, corrupt: [...corrupt.values()], fingerprints };
      return {
        images: imagesToTensor(images),
        size: side,
        position: options.sizes === undefined ? position : { ...position, batches },
      };
    },
    close: () => maker.close(),
  };
}

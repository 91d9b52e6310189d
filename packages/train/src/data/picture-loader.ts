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
import { createPictureMaker, type PictureMaker } from "./picture-maker.js";
import { type Crop, type PictureView, recipeName } from "./picture-recipe.js";
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
  readonly seed: number;
  /** Default true. */
  readonly shuffle?: boolean;
  /** Default "center". */
  readonly crop?: Crop;
  /** Mirrors half of the pictures. Default false. */
  readonly flip?: boolean;
  /** Different unreadable pictures after which loading fails. Default 100. */
  readonly maxCorrupt?: number;
  /** Batches made ahead. Default 2. */
  readonly prefetch?: number;
  /** Threads; see `createPictureMaker`. */
  readonly workers?: number | undefined;
  /** Hears of each unreadable picture once. */
  readonly onCorrupt?: ((name: string, problem: string) => void) | undefined;
}

/** Where the next batch starts, as JSON. */
export interface LoaderPosition extends SamplerPosition {
  /** Unreadable pictures, as [source, index]. */
  readonly corrupt: readonly (readonly [source: number, index: number])[];
  /** Fingerprints of the sources: the position means nothing in others. */
  readonly fingerprints: readonly string[];
}

export interface PictureBatch {
  /** [batch, 3, size, size] in [-1, 1]. */
  readonly images: Tensor<"float32">;
  /** Of the next batch. */
  readonly position: LoaderPosition;
}

export interface PictureLoader {
  /** @throws DataError when too many pictures can't be read */
  next(): Promise<PictureBatch>;
  close(): Promise<void>;
}

type Outcome = { readonly image: Image } | { readonly name: string; readonly problem: string };

interface Job {
  readonly sample: Sample;
  readonly outcome: Promise<Outcome>;
}

/** Words of the augmentation stream that belong to one sample. */
const WORDS_PER_SAMPLE = 6;
/** Share of center crops under "center-or-random": the public sampler takes one normal and compares it with 0.5. */
const CENTER_BELOW = 0.5;

function drawView(options: PictureLoaderOptions, number: number): PictureView {
  const { size, seed, crop = "center", flip = false } = options;
  const random = createRandom(seed, "data/view");
  random.seek(WORDS_PER_SAMPLE * number);
  const mirrored = random.nextUniform() < 0.5;
  const corner = [random.nextUniform(), random.nextUniform()] as const;
  const centered = crop === "center" || (crop === "center-or-random" && random.nextNormal() < CENTER_BELOW);
  const view = { size, corner: centered ? null : corner, flip: flip && mirrored };
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
  let current: SamplerPosition = from ?? startPosition(sources);

  async function make(sample: Sample): Promise<Outcome> {
    const source = list[sample.source] as RecipeSource;
    let name = `${source.name}: picture ${sample.index}`;
    try {
      const recipe = await source.recipe(sample.index);
      name = recipeName(recipe);
      return { image: await maker.make(recipe, drawView(options, sample.number)) };
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      return { name, problem: error.message };
    }
  }

  function fill(ahead: number): void {
    while (jobs.length < ahead) {
      const sample = sampler.next();
      const outcome = make(sample);
      // Who consumes the job sees the error; until then it isn't an unhandled one.
      outcome.catch(() => undefined);
      jobs.push({ sample, outcome });
    }
  }

  function giveUpOn({ source, index }: Sample, { name, problem }: { name: string; problem: string }): void {
    const key = `${source}/${index}`;
    if (corrupt.has(key)) return;
    corrupt.set(key, [source, index]);
    onCorrupt?.(name, problem);
    if (corrupt.size <= maxCorrupt && corrupt.size < everything) return;
    throw new DataError(`data: ${corrupt.size} pictures can't be read; the last one: ${problem}`, {
      hint: "Check the files and their formats; `maxCorrupt` says how many may be unreadable.",
    });
  }

  return {
    async next() {
      const images: Image[] = [];
      while (images.length < batch) {
        fill(batch * prefetch + batch - images.length);
        const { sample, outcome } = jobs.shift() as Job;
        const made = await outcome;
        current = sample.after;
        if ("image" in made) images.push(made.image);
        else giveUpOn(sample, made);
      }
      return { images: imagesToTensor(images), position: { ...current, corrupt: [...corrupt.values()], fingerprints } };
    },
    close: () => maker.close(),
  };
}

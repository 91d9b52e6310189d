/**
 * Which picture comes next: an endless sequence over one or several sources, fixed by its seed.
 *
 * Each sample draws its source by weight; each source goes through its own epochs, every one a permutation seeded by the
 * epoch's number. A position is a few integers, and the sequence goes on from it exactly.
 */
import { ConfigError, createRandom } from "@dcae/core/graph";

export interface SamplerSource {
  readonly count: number;
  readonly ordered: boolean;
  /** Share of the samples, in proportion to the other weights. */
  readonly weight: number;
}

export interface PictureSamplerOptions {
  readonly sources: readonly SamplerSource[];
  readonly seed: number;
  /** Default true. */
  readonly shuffle?: boolean;
}

/** The whole state, as JSON. */
export interface SamplerPosition {
  /** Samples drawn so far. */
  readonly samples: number;
  /** Per source: passes completed, and pictures of the current pass. */
  readonly sources: readonly { readonly epoch: number; readonly index: number }[];
}

export interface Sample {
  /** Number in the sequence, from 0: seeds what is random about the picture's view. */
  readonly number: number;
  readonly source: number;
  /** Picture of the source. */
  readonly index: number;
  /** The position behind this sample. */
  readonly after: SamplerPosition;
}

export interface PictureSampler {
  next(): Sample;
}

/** Permutations of more than this would need too much memory; scenes, which have no order, are all that large. */
const MAX_SHUFFLED = 2 ** 28;

export function startPosition(sources: readonly unknown[]): SamplerPosition {
  return { samples: 0, sources: sources.map(() => ({ epoch: 0, index: 0 })) };
}

/** @throws ConfigError for weights or positions that don't fit the sources */
export function createPictureSampler(options: PictureSamplerOptions, from?: SamplerPosition): PictureSampler {
  const { sources, seed, shuffle = true } = options;
  const total = sources.reduce((sum, { weight }) => sum + weight, 0);
  if (sources.length === 0 || sources.some(({ weight }) => !(weight >= 0)) || !(total > 0 && Number.isFinite(total))) {
    throw new ConfigError(`data: the weights ${sources.map(({ weight }) => weight).join(", ")} can't be shares`);
  }
  let position = from ?? startPosition(sources);
  if (position.sources.length !== sources.length) {
    throw new ConfigError(
      `data: the position is one in ${position.sources.length} sources, there are ${sources.length}`,
    );
  }
  // One word per sample: the word's number is the sample's.
  const choices = createRandom(seed, "data/source");
  choices.seek(position.samples);
  const orders = new Map<number, { readonly epoch: number; readonly order: Uint32Array }>();

  function chooseSource(): number {
    const draw = choices.nextUniform() * total;
    let sum = 0;
    let chosen = 0;
    for (const [i, { weight }] of sources.entries()) {
      if (weight === 0) continue;
      chosen = i;
      sum += weight;
      if (draw < sum) break;
    }
    return chosen;
  }

  function pictureAt(source: number, epoch: number, index: number): number {
    const { count, ordered } = sources[source] as SamplerSource;
    if (!shuffle || !ordered || count > MAX_SHUFFLED) return index;
    let held = orders.get(source);
    if (held?.epoch !== epoch) {
      const order = new Uint32Array(count).map((_, i) => i);
      held = { epoch, order: createRandom(seed, `data/order/${source}/${epoch}`).shuffle(order) };
      orders.set(source, held);
    }
    return held.order[index] as number;
  }

  return {
    next() {
      const source = chooseSource();
      const { epoch, index } = position.sources[source] as { epoch: number; index: number };
      const ends = index + 1 === (sources[source] as SamplerSource).count;
      const moved = ends ? { epoch: epoch + 1, index: 0 } : { epoch, index: index + 1 };
      const after = {
        samples: position.samples + 1,
        sources: position.sources.map((place, i) => (i === source ? moved : place)),
      };
      const sample = { number: position.samples, source, index: pictureAt(source, epoch, index), after };
      position = after;
      return sample;
    },
  };
}

/**
 * A few loaded things by key, as programs by shape and open files by path: the least recently used one is freed when
 * another needs its place.
 *
 * Calls are executed one after the other, as engines do anyway. Calls for the same thing therefore share one loading, and
 * nothing is freed under a call that waits for it.
 */
import type { Weights } from "../checkpoint/weights.js";
import { EngineError } from "../errors.js";
import type { Program } from "../graph/program.js";
import type { Tensor } from "../graph/tensor.js";
import { closeAll } from "./close-all.js";
import type { Engine, LoadedProgram, NamedTensors } from "./engine.js";

export interface LoadedCache<T> {
  /**
   * The result of `work` with the thing known as `key`, which `load` gives when it isn't there.
   *
   * @param fits whether there is memory to load it now; what was used longest ago is freed until there is. Default: there is
   */
  use<R>(key: string, load: () => Promise<T>, work: (loaded: T) => Promise<R>, fits?: () => boolean): Promise<R>;
  /** Frees everything after the calls that wait; later calls are refused. */
  dispose(): Promise<void>;
}

export interface LoadedCacheOptions<T> {
  /** What is kept, for the error of a call after `dispose`. */
  readonly name: string;
  /** How many things stay loaded, at least 1. */
  readonly limit: number;
  readonly free: (loaded: T) => Promise<unknown>;
}

export function createLoadedCache<T>({ name, limit, free }: LoadedCacheOptions<T>): LoadedCache<T> {
  // A Map iterates in insertion order; every use moves an entry to the end, so the first one is the oldest.
  const kept = new Map<string, { readonly loaded: T }>();
  let last: Promise<unknown> = Promise.resolve();
  let disposed = false;

  async function freeOldest(): Promise<void> {
    const [[key, { loaded }]] = kept as unknown as [[string, { readonly loaded: T }]];
    kept.delete(key);
    await free(loaded);
  }

  async function acquire(key: string, load: () => Promise<T>, fits: () => boolean): Promise<T> {
    const known = kept.get(key);
    kept.delete(key);
    if (known === undefined) {
      // Make room first: at high resolution two programs may not fit at once.
      while (kept.size > 0 && (kept.size >= limit || !fits())) await freeOldest();
    }
    const entry = known ?? { loaded: await load() };
    kept.set(key, entry);
    return entry.loaded;
  }

  function enqueue<R>(task: () => Promise<R>): Promise<R> {
    const result = last.then(task);
    last = result.catch(() => undefined);
    return result;
  }

  return {
    use(key, load, work, fits = () => true) {
      if (disposed) return Promise.reject(new EngineError(`${name}: can't be used, it was disposed`));
      return enqueue(async () => work(await acquire(key, load, fits)));
    },
    dispose() {
      disposed = true;
      return enqueue(async () => {
        const all = [...kept.values()];
        kept.clear();
        await closeAll(
          all.map(
            ({ loaded }) =>
              () =>
                free(loaded),
          ),
        );
      });
    },
  };
}

export interface ProgramCache {
  /**
   * Runs the program known as `key`, which `build` makes when it isn't loaded. With a signal that was aborted when its turn comes, it
   * is neither made nor run.
   */
  run(
    key: string,
    build: () => Program,
    weights: Weights,
    inputs: NamedTensors,
    signal?: AbortSignal,
  ): Promise<Record<string, Tensor>>;
  dispose(): Promise<void>;
}

/**
 * Programs of an engine. Each holds packed weights and working memory, so few should stay: no more than `limit`, and no more than
 * memory has room for.
 *
 * @param name of what they are the programs of, for errors
 */
export function createProgramCache(engine: Pick<Engine, "load" | "fits">, name: string, limit: number): ProgramCache {
  const programs = createLoadedCache<LoadedProgram>({ name, limit, free: (program) => program.dispose() });
  return {
    run(key, build, weights, inputs, signal) {
      let made: Program | undefined;
      const program = () => {
        made ??= build();
        return made;
      };
      return programs.use(
        key,
        async () => {
          signal?.throwIfAborted();
          return engine.load(program(), weights);
        },
        async (loaded) => {
          signal?.throwIfAborted();
          return loaded.run(inputs);
        },
        () => signal?.aborted === true || (engine.fits?.(program()) ?? true),
      );
    },
    dispose: programs.dispose,
  };
}

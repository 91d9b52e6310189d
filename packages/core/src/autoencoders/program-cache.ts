/**
 * Programs of one model, built and loaded at first use for each shape.
 *
 * A loaded program holds packed weights and working memory, so only a few stay: the least recently used one is disposed
 * when another shape needs its place. Calls are executed one after the other, as the engine does anyway; a program is
 * therefore never disposed under a call that waits for it.
 */
import type { Weights } from "../checkpoint/weights.js";
import { EngineError } from "../errors.js";
import type { Program } from "../graph/program.js";
import type { Tensor } from "../graph/tensor.js";
import { closeAll } from "../runtime/close-all.js";
import type { Engine, LoadedProgram, NamedTensors } from "../runtime/engine.js";

export interface ProgramCache {
  /** Runs the program known as `key`, which `build` makes when it isn't loaded. */
  run(key: string, build: () => Program, inputs: NamedTensors): Promise<Record<string, Tensor>>;
  /** Disposes every program after the calls that wait. */
  dispose(): Promise<void>;
}

/** @param limit how many programs stay loaded, at least 1 */
export function createProgramCache(engine: Engine, weights: Weights, limit: number): ProgramCache {
  // A Map iterates in insertion order; every use moves an entry to the end, so the first one is the oldest.
  const programs = new Map<string, LoadedProgram>();
  let last: Promise<unknown> = Promise.resolve();
  let disposed = false;

  async function evictOldest(): Promise<void> {
    for (const [key, program] of programs) {
      programs.delete(key);
      return program.dispose();
    }
  }

  async function acquire(key: string, build: () => Program): Promise<LoadedProgram> {
    const known = programs.get(key);
    programs.delete(key);
    // Make room first: at high resolution two programs may not fit at once.
    while (known === undefined && programs.size >= limit) await evictOldest();
    const program = known ?? (await engine.load(build(), weights));
    programs.set(key, program);
    return program;
  }

  function enqueue<T>(task: () => Promise<T>): Promise<T> {
    const result = last.then(task);
    last = result.catch(() => undefined);
    return result;
  }

  return {
    run(key, build, inputs) {
      if (disposed) return Promise.reject(new EngineError("the model was disposed"));
      return enqueue(async () => (await acquire(key, build)).run(inputs));
    },
    dispose() {
      disposed = true;
      return enqueue(async () => {
        const all = [...programs.values()];
        programs.clear();
        await closeAll(all.map((program) => () => program.dispose()));
      });
    },
  };
}

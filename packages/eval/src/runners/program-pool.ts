/**
 * Loaded programs by shape. Few stay, because each holds its packed weights; pictures mostly have one size.
 */
import type { Tensor } from "@dcae/core";
import type { Weights } from "@dcae/core/checkpoint";
import type { Program } from "@dcae/core/graph";
import { closeAll, type Engine, type LoadedProgram, type NamedTensors } from "@dcae/core/runtime";

export interface ProgramPool {
  /** Runs the program known as `key`, which `build` makes at first use. */
  run(key: string, build: () => Program, weights: Weights, inputs: NamedTensors): Promise<Record<string, Tensor>>;
  dispose(): Promise<void>;
}

/** @param limit how many programs stay loaded */
export function createProgramPool(engine: Engine, limit = 6): ProgramPool {
  // A Map iterates in insertion order; every use moves an entry to the end.
  const loaded = new Map<string, Promise<LoadedProgram>>();

  async function evict(): Promise<void> {
    const [oldest] = loaded;
    if (oldest === undefined) return;
    loaded.delete(oldest[0]);
    await (await oldest[1]).dispose();
  }

  return {
    async run(key, build, weights, inputs) {
      const known = loaded.get(key);
      loaded.delete(key);
      const program = known ?? engine.load(build(), weights);
      loaded.set(key, program);
      try {
        return await (await program).run(inputs);
      } catch (error) {
        // A program that couldn't be loaded isn't kept as a failure.
        if (known === undefined && loaded.get(key) === program) loaded.delete(key);
        throw error;
      } finally {
        while (loaded.size > limit) await evict();
      }
    },
    async dispose() {
      const all = [...loaded.values()];
      loaded.clear();
      await closeAll(all.map((program) => async () => (await program).dispose()));
    },
  };
}

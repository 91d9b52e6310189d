/** One engine for a test file. */
import type { Tensor } from "@dcae/core";
import type { Weights } from "@dcae/core/checkpoint";
import type { Program } from "@dcae/core/graph";
import { createEngine, type Engine } from "@dcae/core/runtime";
import { afterAll, beforeAll } from "vitest";

export const NO_WEIGHTS: Weights = { source: "no weights", entries: new Map(), close: async () => {} };

/** Starts a cpu engine before the file's tests and ends it after them. */
export function useEngine(): { readonly current: Engine } {
  const holder: { engine?: Engine } = {};
  beforeAll(async () => {
    holder.engine = await createEngine({ device: "cpu" });
  });
  afterAll(async () => {
    await holder.engine?.dispose();
  });
  return {
    get current() {
      if (holder.engine === undefined) throw new Error("the engine is used outside of a test");
      return holder.engine;
    },
  };
}

/** One run of a program. */
export async function runOnce(
  engine: Engine,
  program: Program,
  inputs: Readonly<Record<string, Tensor>>,
  weights: Weights = NO_WEIGHTS,
): Promise<Record<string, Tensor>> {
  const loaded = await engine.load(program, weights);
  try {
    return await loaded.run(inputs);
  } finally {
    await loaded.dispose();
  }
}

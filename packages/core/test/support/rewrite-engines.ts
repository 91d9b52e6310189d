/** Engines that golden tests run on: rewrites off, as chosen by their costs, and applied wherever they can be. */
import { optimize } from "../../src/graph/index.js";
import { createEngine, type Engine } from "../../src/runtime/index.js";

export const REWRITES = ["off", "by cost", "everywhere", "everywhere, large tiles"] as const;
export type Rewrites = (typeof REWRITES)[number];

/** Tiny models are below every threshold; "everywhere" makes each eligible convolution Winograd F(4x4), or F(6x6) with large tiles. */
export async function createRewritingEngine(rewrites: Rewrites): Promise<Engine> {
  const engine = await createEngine({ device: "cpu", threads: 1, optimize: rewrites === "by cost" });
  if (rewrites === "off" || rewrites === "by cost") return engine;
  const tile = rewrites === "everywhere" ? 4 : 6;
  return {
    name: engine.name,
    device: engine.device,
    load: (program, weights, options) =>
      engine.load(optimize(program, { chooseWinograd: () => tile }), weights, options),
    createState: (initial) => engine.createState(initial),
    dispose: () => engine.dispose(),
  };
}

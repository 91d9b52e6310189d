/** A training's optimizer as the step wants it: with the name of its state, and the averages that it keeps. */
import type { OptimizerConfig } from "../configs/schema.js";
import type { EmaOptions } from "../optimizer/index.js";
import type { OptimizerOptions } from "../step/index.js";

/**
 * @param name of its state, as in "autoencoder"
 * @param ema averages to keep; null: none
 */
export function namedOptimizer(
  name: string,
  optimizer: OptimizerConfig,
  ema: EmaOptions | null = null,
): OptimizerOptions {
  const common = { name, averages: ema === null ? [] : [ema] };
  return optimizer.kind === "came" ? { ...common, came: optimizer } : { ...common, adamW: optimizer };
}

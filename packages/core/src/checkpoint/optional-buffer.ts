import type { ParameterSpec } from "../graph/parameter.js";

/**
 * Whether a checkpoint may lack this parameter: true only for the batch counters of batch normalization, which no computation
 * reads (the momentum is constant), and which some tools drop.
 */
export function isOptionalBuffer({ name, trainable }: Pick<ParameterSpec, "name" | "trainable">): boolean {
  return !trainable && (name === "num_batches_tracked" || name.endsWith(".num_batches_tracked"));
}

/** Which evaluation is the best: by the loss, or by a metric that the configuration names. */
import { ConfigError } from "@dcae/core/graph";
import type { Better, Evaluate } from "./fit.js";

/** Which way the trainers' own metrics are better. One of a count of channels, as "psnr_c8", goes the way of its metric. */
const DIRECTIONS: Readonly<Record<string, Better>> = {
  loss: "lower",
  l1: "lower",
  lpips: "lower",
  features: "lower",
  psnr: "higher",
};

/** The metric that a name of the log is about: "psnr" of "psnr_c8". */
const withoutCount = (name: string) => name.replace(/_c\d+$/, "");

/**
 * The same evaluation with another idea of "best": the value of `metric` is its score.
 *
 * @param metric as in the log, without "eval_"; undefined leaves the evaluation as it is
 * @param more which way metrics are better that are computed beside the trainer
 * @throws ConfigError, at the first evaluation, when there is no such metric
 */
export function bestBy(
  metric: string | undefined,
  evaluate: Evaluate,
  more: Readonly<Record<string, Better>> = {},
): Evaluate {
  if (metric === undefined) return evaluate;
  const directions = { ...DIRECTIONS, ...more };
  return async (state, weights) => {
    const found = await evaluate(state, weights);
    if (found === undefined) return undefined;
    const value = found.metrics[metric];
    const better = directions[withoutCount(metric)];
    if (value !== undefined && better !== undefined) return { ...found, score: value, better, scoredBy: metric };
    // One that isn't finite is reported as such.
    if (Object.values(found.metrics).some((other) => !Number.isFinite(other))) return found;
    throw new ConfigError(`best: the evaluation has no metric "${metric}"`, {
      hint: `It has ${Object.keys(found.metrics).join(", ")}.`,
    });
  };
}

/** Which evaluation is the best: by the loss, or by a metric that the configuration names. */
import type { Weights } from "@dcae/core/checkpoint";
import { ConfigError } from "@dcae/core/graph";
import type { EngineState } from "@dcae/core/runtime";
import type { Evaluation } from "./fit.js";

type Evaluate = (state: EngineState, weights: Weights) => Promise<Evaluation>;

/** Metrics of which more is better; of all others less is. */
const LARGER_IS_BETTER = /^psnr(_c\d+)?$/;

/**
 * The same evaluation with another idea of "best": the value of `metric` is its score, negative where more is better.
 *
 * @param metric as in the log, without "eval_"; undefined leaves the evaluation as it is
 * @throws ConfigError, at the first evaluation, when there is no such metric
 */
export function bestBy(metric: string | undefined, evaluate: Evaluate): Evaluate {
  if (metric === undefined) return evaluate;
  return async (state, weights) => {
    const found = await evaluate(state, weights);
    const value = found.metrics[metric];
    if (value !== undefined) return { ...found, score: LARGER_IS_BETTER.test(metric) ? -value : value };
    // One that isn't finite is reported as such.
    if (Object.values(found.metrics).some((other) => !Number.isFinite(other))) return found;
    throw new ConfigError(`best: the evaluation has no metric "${metric}"`, {
      hint: `It has ${Object.keys(found.metrics).join(", ")}.`,
    });
  };
}

/**
 * Exponential moving averages of the weights (training.md section 6).
 *
 * shadow <- shadow + (1 - d_t) (value - shadow) with d_t = d (1 - exp(-t / warmup)), t counted from 1. Written as
 * 1 - d_t = (1 - d) + d exp(-t / warmup), which keeps the digits of a decay close to 1.
 *
 * Averages exist only of tensors that change: the average of a frozen one is itself.
 */
import { add, ConfigError, exp, mul, reshape, scalar, sub, type Value } from "@dcae/core/graph";
import { flat, type NamedValue, stateLike } from "./state-parameter.js";

export interface EmaOptions {
  /** In (0, 1), as 0.9999. */
  readonly decay: number;
  /** Updates over which the decay grows; 0 for none. */
  readonly warmupSteps: number;
}

/** Where the averages of one decay are kept: `ema.<decay>`. */
export function emaPrefix({ decay }: EmaOptions): string {
  return `ema.${decay}`;
}

/**
 * New averages, by name in the state.
 *
 * @param values the tensors after the update
 * @param count number of the update, from 1, float32 scalar
 */
export function emaUpdates(values: readonly NamedValue[], count: Value, options: EmaOptions): Map<string, Value> {
  const { decay, warmupSteps } = options;
  if (!(decay > 0 && decay < 1)) throw new ConfigError(`ema: decay must be in (0, 1), got ${decay}`);
  const share = warmupSteps === 0 ? scalar(1 - decay) : add(mul(exp(mul(count, -1 / warmupSteps)), decay), 1 - decay);
  const prefix = emaPrefix(options);
  return new Map(
    values.map((named) => {
      const shadow = flat(stateLike(prefix, named));
      const moved = add(shadow, mul(sub(flat(named.value), shadow), share));
      return [`${prefix}.${named.name}`, reshape(moved, named.value.shape)];
    }),
  );
}

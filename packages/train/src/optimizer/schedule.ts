/**
 * Learning-rate schedules, as graphs of the update counter (training.md section 6; the formulas of the official trainer).
 *
 * The counter is 0 at the first update, which already takes (0 + 1) / W of the warm-up ramp. Behind its end a schedule stays at its
 * last rate, 0; the official trainer's cosines climb again there.
 */
import { add, clamp, cos, less, mul, scalar, sub, type Value, where } from "@dcae/core/graph";

interface Warmup {
  /** Learning rate after the warm-up. */
  readonly lr: number;
  /** Where the ramp starts. */
  readonly warmupLr: number;
  /** Updates of the ramp. */
  readonly warmupSteps: number;
}

/** The course of the learning rate. */
export type Schedule =
  | { readonly kind: "constant"; readonly lr: number }
  | ({ readonly kind: "constant-warmup" } & Warmup)
  /** Cosine from lr to 0 in consecutive segments; `decaySteps` are their ends, counted from the end of the warm-up. */
  | ({ readonly kind: "cosine-warmup"; readonly decaySteps: readonly number[] } & Warmup)
  /** lr until update `stableSteps`, then a cosine to 0 at `totalSteps`. */
  | ({ readonly kind: "warmup-stable-decay"; readonly stableSteps: number; readonly totalSteps: number } & Warmup)
  /** Cosine from lr to 0 over `maxSteps`. */
  | { readonly kind: "cosine"; readonly lr: number; readonly maxSteps: number };

/** From lr at `from` 0 to 0 at `length`, and 0 from there on. */
const halfCosine = (lr: number, from: Value, length: number): Value =>
  mul(add(cos(mul(clamp(from, 0, length), Math.PI / length)), 1), 0.5 * lr);

/** Updates after which the rate doesn't change any more; undefined where it never falls. */
export function scheduleEnd(schedule: Schedule): number | undefined {
  if (schedule.kind === "cosine") return schedule.maxSteps;
  if (schedule.kind === "warmup-stable-decay") return schedule.totalSteps;
  if (schedule.kind === "cosine-warmup") return schedule.warmupSteps + (schedule.decaySteps.at(-1) ?? 0);
  return undefined;
}

function warmUp({ lr, warmupLr, warmupSteps }: Warmup, step: Value, after: Value): Value {
  if (warmupSteps === 0) return after;
  const ramp = add(mul(add(step, 1), (lr - warmupLr) / warmupSteps), warmupLr);
  return where(less(step, warmupSteps), ramp, after);
}

/** The learning rate (float32 scalar) of the update that `step` (float32 scalar) updates came before. */
export function learningRate(schedule: Schedule, step: Value): Value {
  switch (schedule.kind) {
    case "constant":
      return scalar(schedule.lr);
    case "constant-warmup":
      return warmUp(schedule, step, scalar(schedule.lr));
    case "cosine-warmup": {
      const t = sub(step, schedule.warmupSteps);
      const { lr, decaySteps } = schedule;
      const segments = decaySteps.map((end, i) => {
        const start = decaySteps[i - 1] ?? 0;
        return { end, value: halfCosine(lr, sub(t, start), end - start) };
      });
      const decayed = segments.reduceRight<Value | undefined>(
        (later, { end, value }) => (later === undefined ? value : where(less(t, end), value, later)),
        undefined,
      );
      return warmUp(schedule, step, decayed ?? scalar(lr));
    }
    case "warmup-stable-decay": {
      const { lr, stableSteps, totalSteps } = schedule;
      const decay = halfCosine(lr, sub(step, stableSteps), totalSteps - stableSteps);
      return warmUp(schedule, step, where(less(step, stableSteps), lr, decay));
    }
    case "cosine":
      return halfCosine(schedule.lr, step, schedule.maxSteps);
  }
}

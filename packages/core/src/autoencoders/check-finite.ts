/** Explains results that aren't finite: the input, a weight, or the precision is to blame. */

import type { Weights } from "../checkpoint/weights.js";
import { findNonFinite } from "../checkpoint/weights.js";
import { CheckpointError, DataError, EngineError } from "../errors.js";
import { dtypeKind } from "../graph/dtype.js";
import type { Tensor } from "../graph/tensor.js";
import type { Engine } from "../runtime/engine.js";

/** What computed a result. */
export interface Computation {
  readonly weights: Weights;
  readonly engine: Pick<Engine, "dtype">;
}

const largestOf = (tensor: Tensor): number =>
  tensor.toFloat32().reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);

/**
 * Passes `output` on when it is finite. Weights are only searched when it isn't, so that the check costs nothing else.
 *
 * @throws DataError, CheckpointError or EngineError naming what isn't finite, or what is too large
 */
export async function checkFinite(
  output: Tensor,
  input: Tensor,
  { weights, engine }: Computation,
  what: string,
): Promise<Tensor> {
  if (findNonFinite(output) === undefined) return output;
  const bad = findNonFinite(input);
  if (bad !== undefined)
    throw new DataError(`${what}: the input holds ${bad.firstValue} at position ${bad.firstIndex}`);
  let largest = { name: "none", value: 0 };
  for (const entry of weights.entries.values()) {
    if (dtypeKind(entry.dtype) !== "float") continue;
    const tensor = await entry.read();
    const weight = findNonFinite(tensor);
    if (weight !== undefined) {
      throw new CheckpointError(
        `${weights.source}: "${entry.name}" holds ${weight.firstValue} at position ${weight.firstIndex}`,
        {
          hint: "The checkpoint is damaged or was saved from a diverged training run; use another one.",
        },
      );
    }
    const value = largestOf(tensor);
    if (value > largest.value) largest = { name: entry.name, value };
  }
  const { dtype = "float32" } = engine;
  const sizes =
    `the input goes up to ${largestOf(input).toPrecision(3)}, ` +
    `the weights up to ${largest.value.toPrecision(3)} ("${largest.name}")`;
  throw new EngineError(`${what}: values left the range of ${dtype}, although ${sizes}`, {
    hint:
      dtype === "float32"
        ? "Look at the larger of the two: pictures lie in [-1, 1], and weights beyond 1000 come from a diverged training run."
        : 'Use dtype "float32", which has a wider range.',
  });
}

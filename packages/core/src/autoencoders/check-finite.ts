/** Explains results that aren't finite: the input, a weight, or the precision is to blame. */
import { findNonFinite } from "../checkpoint/find-non-finite.js";
import type { Weights } from "../checkpoint/weights.js";
import { CheckpointError, DataError, EngineError } from "../errors.js";
import { dtypeKind } from "../graph/dtype.js";
import type { Tensor } from "../graph/tensor.js";

/**
 * Passes `output` on when it is finite. Weights are only searched when it isn't, so that the check costs nothing else.
 *
 * @throws DataError, CheckpointError or EngineError naming what isn't finite
 */
export async function checkFinite(output: Tensor, input: Tensor, weights: Weights, what: string): Promise<Tensor> {
  if (findNonFinite(output) === undefined) return output;
  const bad = findNonFinite(input);
  if (bad !== undefined)
    throw new DataError(`${what}: the input holds ${bad.firstValue} at position ${bad.firstIndex}`);
  for (const entry of weights.entries.values()) {
    if (dtypeKind(entry.dtype) !== "float") continue;
    const weight = findNonFinite(await entry.read());
    if (weight !== undefined) {
      throw new CheckpointError(
        `${weights.source}: "${entry.name}" holds ${weight.firstValue} at position ${weight.firstIndex}`,
        {
          hint: "The checkpoint is damaged or was saved from a diverged training run; use another one.",
        },
      );
    }
  }
  throw new EngineError(`${what}: the result isn't finite although input and weights are`, {
    hint: 'Values left the range of the compute dtype; use dtype "float32".',
  });
}

/** Checks of tensors: those that users give to a model, and results that aren't finite, which the input, a weight or the precision is to blame for. */

import { findNonFinite, type Weights } from "../checkpoint/weights.js";
import { CheckpointError, DataError, EngineError, ShapeError } from "../errors.js";
import { dtypeKind } from "../graph/dtype.js";
import type { Tensor } from "../graph/tensor.js";
import type { Engine } from "../runtime/engine.js";

/** Decoded pictures that weren't clamped overshoot [-1, 1]; 8-bit values reach farther than this unless all is black. */
const FAR_OUTSIDE = 10;

/**
 * Pictures for an encoder as float32 [N, C, H, W]; [C, H, W] becomes a batch of one.
 *
 * @throws ShapeError for another layout, DataError for values that are far outside of [-1, 1] or no floats
 */
export function checkPictures(x: Tensor, what: string, channels: number): Tensor<"float32"> {
  const batch = checkBatch(x, what, channels);
  checkRange(batch.data, what);
  return batch;
}

/** What isn't finite is the business of `checkFinite`, which finds where it came from. */
function checkRange(values: Float32Array, what: string): void {
  let low = 0;
  let high = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (value < low && value !== Number.NEGATIVE_INFINITY) low = value;
    else if (value > high && value !== Number.POSITIVE_INFINITY) high = value;
  }
  if (high <= FAR_OUTSIDE && low >= -FAR_OUTSIDE) return;
  const from = low < 0 ? undefined : high <= 255.5 ? 255 : high <= 65_535.5 ? 65_535 : undefined;
  throw new DataError(`${what}: pictures have values in [-1, 1], these reach from ${low} to ${high}`, {
    hint:
      from === undefined ? "Scale them to [-1, 1]." : `They seem to be from 0 to ${from}: give x / ${from / 2} - 1.`,
  });
}

/**
 * Pictures as `checkPictures`, with H and W multiples of `multiple`.
 *
 * @throws ShapeError or DataError that says what the model takes
 */
export function checkPicture(x: Tensor, channels: number, multiple: number): Tensor<"float32"> {
  const batch = checkPictures(x, "encode", channels);
  const [height, width] = batch.shape.slice(2) as [number, number];
  if (height % multiple !== 0 || width % multiple !== 0) {
    throw new ShapeError(`encode: ${width}x${height} pixels aren't multiples of ${multiple}, the model's compression`, {
      hint: `Crop or pad first: fitToMultiple(x, ${multiple}, "center-crop" | "reflect-pad"), or use reconstruct with a sizePolicy.`,
    });
  }
  return batch;
}

/** `x` as float32 [N, C, H, W]; [C, H, W] becomes a batch of one. */
export function checkBatch(x: Tensor, what: string, channels?: number): Tensor<"float32"> {
  const shape = x.rank === 3 ? [1, ...x.shape] : x.shape;
  if (dtypeKind(x.dtype) !== "float") {
    throw new DataError(`${what}: needs float values, got ${x.dtype}`, {
      hint:
        what === "decode"
          ? "Latents are floats; convert them."
          : "Pictures are floats in [-1, 1]: those of 8 bits become x / 127.5 - 1 (loadImage and imageToTensor do it).",
    });
  }
  if (shape.length !== 4 || shape.includes(0) || (channels !== undefined && shape[1] !== channels)) {
    const wanted = `[N, ${channels ?? "C"}, H, W]`;
    const isLast = channels !== undefined && shape.length === 4 && shape[3] === channels;
    const axes = x.rank === 3 ? "2, 0, 1" : "0, 3, 1, 2";
    throw new ShapeError(
      `${what}: needs ${wanted} or ${wanted.replace("N, ", "")}, got [${x.shape.join(", ")}]${isLast ? ", with the channels last" : ""}`,
      isLast ? { hint: `Transpose it first, as NumPy does with x.transpose(${axes}).` } : {},
    );
  }
  return x.cast("float32").reshape(shape);
}

/** What computed a result. */
interface Computation {
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

/** Checks of the tensors that users give to a model. */
import { DataError, ShapeError } from "../errors.js";
import { dtypeKind } from "../graph/dtype.js";
import type { Tensor } from "../graph/tensor.js";

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

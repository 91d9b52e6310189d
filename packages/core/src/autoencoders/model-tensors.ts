/** Checks of the tensors that users give to a model. */
import { DataError, ShapeError } from "../errors.js";
import { dtypeKind } from "../graph/dtype.js";
import type { Tensor } from "../graph/tensor.js";

/**
 * `x` as float32 [N, C, H, W] with H and W multiples of `multiple`; [C, H, W] becomes a batch of one.
 *
 * @throws ShapeError or DataError that says what the model takes
 */
export function checkPicture(x: Tensor, channels: number, multiple: number): Tensor<"float32"> {
  const batch = checkBatch(x, "encode", channels);
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
      hint: "Pictures become floats in [-1, 1] with loadImage or imageToTensor.",
    });
  }
  if (shape.length !== 4 || shape.includes(0) || (channels !== undefined && shape[1] !== channels)) {
    const wanted = `[N, ${channels ?? "C"}, H, W]`;
    throw new ShapeError(`${what}: needs ${wanted} or ${wanted.replace("N, ", "")}, got [${x.shape.join(", ")}]`);
  }
  return x.cast("float32").reshape(shape);
}

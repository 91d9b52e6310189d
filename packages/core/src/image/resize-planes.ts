/**
 * Resizing of float32 planes with Pillow's antialiased kernels, as Pillow does for mode "F": weights and sums in
 * float64, each pass rounded to float32, nothing clamped. Metrics that resize float data use it; pictures on their way
 * to a model use the 8-bit version (resize-image.ts), which rounds in between.
 */
import { ShapeError } from "../errors.js";
import { Tensor } from "../graph/tensor.js";
import { type ResampleFilter, resampleWeights } from "./resize-image.js";

function resizeRows(data: Float32Array, from: number, to: number, filter: ResampleFilter): Float32Array {
  const { taps, first, count, weights } = resampleWeights(from, to, filter);
  const rows = data.length / from;
  const out = new Float32Array(rows * to);
  for (let row = 0; row < rows; row++) {
    for (let x = 0; x < to; x++) {
      const start = row * from + (first[x] as number);
      let sum = 0;
      for (let j = 0; j < (count[x] as number); j++)
        sum += (data[start + j] as number) * (weights[x * taps + j] as number);
      out[row * to + x] = sum;
    }
  }
  return out;
}

function resizeColumns(
  data: Float32Array,
  width: number,
  from: number,
  to: number,
  filter: ResampleFilter,
): Float32Array {
  const { taps, first, count, weights } = resampleWeights(from, to, filter);
  const planes = data.length / (width * from);
  const out = new Float32Array(planes * to * width);
  const sums = new Float64Array(width);
  for (let plane = 0; plane < planes; plane++) {
    for (let y = 0; y < to; y++) {
      sums.fill(0);
      for (let j = 0; j < (count[y] as number); j++) {
        const weight = weights[y * taps + j] as number;
        const start = (plane * from + (first[y] as number) + j) * width;
        for (let x = 0; x < width; x++) sums[x] = (sums[x] as number) + (data[start + x] as number) * weight;
      }
      out.set(sums, (plane * to + y) * width);
    }
  }
  return out;
}

/**
 * Resizes the last two axes of a float tensor [..., H, W] to [..., height, width].
 *
 * Not to be confused with the tensor resizing of neural networks (no antialiasing, another cubic): those are ops of the
 * graph. The tensor itself is returned (as float32) when the size doesn't change.
 *
 * @throws ShapeError when the tensor has fewer than two axes, is empty, or a size isn't a positive integer
 */
export function resizePlanes(
  tensor: Tensor,
  width: number,
  height: number,
  filter: ResampleFilter = "bicubic",
): Tensor<"float32"> {
  const fromHeight = tensor.shape.at(-2) ?? 0;
  const fromWidth = tensor.shape.at(-1) ?? 0;
  if (tensor.size === 0 || fromHeight < 1) {
    throw new ShapeError(`resizePlanes: expected a tensor [..., H, W], got [${tensor.shape.join(", ")}]`);
  }
  if (!Number.isSafeInteger(width) || !Number.isSafeInteger(height) || width < 1 || height < 1) {
    throw new ShapeError(`resizePlanes: width and height must be positive integers, got ${width}x${height}`);
  }
  let data = tensor.toFloat32();
  if (width !== fromWidth) data = resizeRows(data, fromWidth, width, filter);
  if (height !== fromHeight) data = resizeColumns(data, width, fromHeight, height, filter);
  return new Tensor("float32", data, [...tensor.shape.slice(0, -2), height, width]);
}

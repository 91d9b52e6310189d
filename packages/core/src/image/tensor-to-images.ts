/**
 * Model output to pictures: [-1, 1] to 8 bits, by either of the two public conventions.
 *
 * "truncate-half-up" is `trunc(clamp(255 v + 0.5, 0, 255))` with `v = y / 2 + 1 / 2` (evaluation and saved pictures of the
 * official code); "half-even" is the nearest integer, ties to even, of `255 clamp(v, 0, 1)` (diffusers pipelines). Both in
 * float32, step by step. They differ only where 255 v is within rounding of a half.
 */
import { DataError, ShapeError } from "../errors.js";
import type { Tensor } from "../graph/tensor.js";
import { createImage, type Image } from "./image.js";

export type Rounding = "truncate-half-up" | "half-even";

export interface TensorToImagesOptions {
  /** How values become integers; "truncate-half-up" by default, as in the official evaluation. */
  readonly rounding?: Rounding;
}

const { fround } = Math;

function truncateHalfUp(y: number): number {
  const scaled = fround(fround(255 * fround(y * 0.5 + 0.5)) + 0.5);
  return scaled <= 0 ? 0 : scaled >= 255 ? 255 : Math.trunc(scaled);
}

function halfEven(y: number): number {
  const v = fround(y * 0.5 + 0.5);
  const scaled = fround(255 * (v <= 0 ? 0 : v >= 1 ? 1 : v));
  const low = Math.floor(scaled);
  const rest = scaled - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low;
}

/**
 * Pictures of a tensor [N, 3, H, W] with values in [-1, 1]; values outside of the range are clamped.
 *
 * @throws ShapeError when the tensor has another layout, DataError when a value is NaN (a model that overflowed must
 *   not look like a black picture)
 */
export function tensorToImages(tensor: Tensor, options: TensorToImagesOptions = {}): Image[] {
  const [count = 0, channels, height = 0, width = 0] = tensor.shape;
  if (tensor.rank !== 4 || channels !== 3 || height < 1 || width < 1) {
    throw new ShapeError(`tensorToImages: expected a tensor [N, 3, H, W], got [${tensor.shape.join(", ")}]`);
  }
  const { rounding = "truncate-half-up" } = options;
  const quantize = rounding === "half-even" ? halfEven : truncateHalfUp;
  const values = tensor.toFloat32();
  const plane = height * width;
  return Array.from({ length: count }, (_, index) => {
    const image = createImage(width, height);
    const out = image.data;
    const start = index * 3 * plane;
    for (let channel = 0; channel < 3; channel++) {
      let from = start + channel * plane;
      for (let to = channel; to < out.length; to += 3) {
        const value = values[from++] as number;
        if (Number.isNaN(value)) {
          throw new DataError(`tensorToImages: image ${index} has NaN at element ${from - 1 - start}`, {
            hint: "The model computed invalid numbers: check its weights, or use float32 if it ran in float16.",
          });
        }
        out[to] = quantize(value);
      }
    }
    return image;
  });
}

/**
 * The one picture of a tensor [1, 3, H, W].
 *
 * @throws ShapeError when the tensor holds several pictures or has another layout
 */
export function tensorToImage(tensor: Tensor, options: TensorToImagesOptions = {}): Image {
  if (tensor.shape[0] !== 1) {
    throw new ShapeError(`tensorToImage: expected a tensor [1, 3, H, W], got [${tensor.shape.join(", ")}]`, {
      hint: "Use tensorToImages for a batch.",
    });
  }
  return tensorToImages(tensor, options)[0] as Image;
}

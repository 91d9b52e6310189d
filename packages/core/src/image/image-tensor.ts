/**
 * Between pictures and tensors.
 *
 * Model input is planar float32 in [-1, 1], bit-equal to the reference's `(u8 / 255 - 0.5) / 0.5` in float32.
 *
 * Model output becomes 8 bits by either of the two public conventions: "truncate-half-up" is `trunc(clamp(255 v + 0.5, 0, 255))`
 * with `v = y / 2 + 1 / 2` (evaluation and saved pictures of the official code); "half-even" is the nearest integer, ties to even,
 * of `255 clamp(v, 0, 1)` (diffusers pipelines). Both in float32, step by step. They differ only where 255 v is within rounding of
 * a half.
 */
import { DataError, ShapeError } from "../errors.js";
import { Tensor } from "../graph/tensor.js";
import { createImage, type Image } from "./image.js";

/** The 256 possible results, each step rounded to float32 as the reference does (the last division is exact). */
const NORMALIZED = Float32Array.from({ length: 256 }, (_, value) => (Math.fround(value / 255) - 0.5) / 0.5);

function writePlanes(image: Image, out: Float32Array, offset: number): void {
  const { data } = image;
  const plane = image.width * image.height;
  let red = offset;
  let green = offset + plane;
  let blue = offset + 2 * plane;
  for (let i = 0; i < data.length; i += 3) {
    out[red++] = NORMALIZED[data[i] as number] as number;
    out[green++] = NORMALIZED[data[i + 1] as number] as number;
    out[blue++] = NORMALIZED[data[i + 2] as number] as number;
  }
}

/** A picture as tensor [1, 3, H, W], float32 in [-1, 1], channels red, green, blue. */
export function imageToTensor(image: Image): Tensor<"float32"> {
  const out = new Float32Array(image.data.length);
  writePlanes(image, out, 0);
  return new Tensor("float32", out, [1, 3, image.height, image.width]);
}

/**
 * Pictures of one size as tensor [N, 3, H, W], float32 in [-1, 1].
 *
 * @throws ShapeError when there is no picture or sizes differ
 */
export function imagesToTensor(images: readonly Image[]): Tensor<"float32"> {
  const first = images[0];
  if (first === undefined) throw new ShapeError("imagesToTensor: expected at least one image, got none");
  const { width, height } = first;
  const size = 3 * width * height;
  const out = new Float32Array(images.length * size);
  images.forEach((image, index) => {
    if (image.width !== width || image.height !== height) {
      throw new ShapeError(
        `imagesToTensor: image ${index} is ${image.width}x${image.height}, but image 0 is ${width}x${height}`,
        { hint: "Crop or resize them to one size first, as with dmCrop." },
      );
    }
    writePlanes(image, out, index * size);
  });
  return new Tensor("float32", out, [images.length, 3, height, width]);
}

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

/**
 * Pictures to model input: planar float32 in [-1, 1], bit-equal to the reference's `(u8 / 255 - 0.5) / 0.5` in float32.
 */
import { ShapeError } from "../errors.js";
import { Tensor } from "../graph/tensor.js";
import type { Image } from "./image.js";

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

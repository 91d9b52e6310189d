/**
 * Resizing of 8-bit pictures, byte for byte as Pillow's `Image.resize` does it.
 *
 * Separable: first along rows, then along columns, each pass rounding to 8 bits; a pass whose size doesn't change is
 * left out. Weights are integers with 22 fractional bits, sums are exact, so there is nothing that could differ between
 * platforms. Source: dcae.md section 8; checked against Pillow.
 */
import { ShapeError } from "../errors.js";
import { createImage, type Image } from "./image.js";
import { type ResampleFilter, type ResampleWeights, resampleWeights } from "./resample-filter.js";

// 32 bits less 8 for the pixel and 2 for sums beyond 1: 255 * 2^22 * 2 fits into a signed 32-bit integer.
const FRACTION_BITS = 22;
const HALF = 1 << (FRACTION_BITS - 1);

function fixedPoint({ weights }: ResampleWeights): Int32Array {
  return Int32Array.from(weights, (weight) => Math.trunc(weight * 2 ** FRACTION_BITS + (weight < 0 ? -0.5 : 0.5)));
}

function toByte(sum: number): number {
  const value = sum >> FRACTION_BITS;
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

function resizeRows(image: Image, width: number, filter: ResampleFilter): Image {
  const axis = resampleWeights(image.width, width, filter);
  const { taps, first, count } = axis;
  const weights = fixedPoint(axis);
  const result = createImage(width, image.height);
  const { data } = image;
  const out = result.data;
  let to = 0;
  for (let y = 0; y < image.height; y++) {
    const row = y * image.width * 3;
    for (let x = 0; x < width; x++) {
      let from = row + (first[x] as number) * 3;
      let red = HALF;
      let green = HALF;
      let blue = HALF;
      const end = x * taps + (count[x] as number);
      for (let k = x * taps; k < end; k++) {
        const weight = weights[k] as number;
        red = (red + Math.imul(data[from] as number, weight)) | 0;
        green = (green + Math.imul(data[from + 1] as number, weight)) | 0;
        blue = (blue + Math.imul(data[from + 2] as number, weight)) | 0;
        from += 3;
      }
      out[to] = toByte(red);
      out[to + 1] = toByte(green);
      out[to + 2] = toByte(blue);
      to += 3;
    }
  }
  return result;
}

function resizeColumns(image: Image, height: number, filter: ResampleFilter): Image {
  const axis = resampleWeights(image.height, height, filter);
  const { taps, first, count } = axis;
  const weights = fixedPoint(axis);
  const result = createImage(image.width, height);
  const { data } = image;
  const out = result.data;
  const stride = image.width * 3;
  const sums = new Int32Array(stride);
  for (let y = 0; y < height; y++) {
    sums.fill(HALF);
    // Whole rows are added up one after the other, which reads memory in order.
    for (let j = 0; j < (count[y] as number); j++) {
      const weight = weights[y * taps + j] as number;
      const from = ((first[y] as number) + j) * stride;
      for (let i = 0; i < stride; i++) sums[i] = (sums[i] as number) + Math.imul(data[from + i] as number, weight);
    }
    const to = y * stride;
    for (let i = 0; i < stride; i++) out[to + i] = toByte(sums[i] as number);
  }
  return result;
}

/**
 * The picture at another size, byte-equal to Pillow's `resize((width, height), filter)`.
 *
 * The same picture is returned when the size doesn't change.
 *
 * @throws ShapeError when width or height isn't a positive integer
 */
export function resizeImage(image: Image, width: number, height: number, filter: ResampleFilter = "bicubic"): Image {
  if (!Number.isSafeInteger(width) || !Number.isSafeInteger(height) || width < 1 || height < 1) {
    throw new ShapeError(`resizeImage: width and height must be positive integers, got ${width}x${height}`);
  }
  const rows = width === image.width ? image : resizeRows(image, width, filter);
  return height === image.height ? rows : resizeColumns(rows, height, filter);
}

/**
 * Crops of pictures: any rectangle, the two ways in which public DC-AE code reaches a multiple of the compression factor, and
 * DMCrop, the center crop by which the official code, ADM and DiT prepare every data set.
 */
import { DataError, ShapeError } from "../errors.js";
import { createImage, type Image } from "./image.js";
import { resizeImage } from "./resize-image.js";

/**
 * The rectangle `width` x `height` whose top left corner is (left, top). The picture itself when that is all of it.
 *
 * @throws ShapeError when the rectangle isn't inside of the picture
 */
export function cropImage(image: Image, left: number, top: number, width: number, height: number): Image {
  const inside =
    [left, top, width, height].every((value) => Number.isSafeInteger(value)) &&
    left >= 0 &&
    top >= 0 &&
    width >= 1 &&
    height >= 1 &&
    left + width <= image.width &&
    top + height <= image.height;
  if (!inside) {
    throw new ShapeError(
      `cropImage: ${width}x${height} at (${left}, ${top}) isn't inside of a picture of ${image.width}x${image.height}`,
    );
  }
  if (width === image.width && height === image.height) return image;
  const result = createImage(width, height);
  for (let y = 0; y < height; y++) {
    const start = ((top + y) * image.width + left) * 3;
    result.data.set(image.data.subarray(start, start + width * 3), y * width * 3);
  }
  return result;
}

/** The largest multiple of `multiple` that fits into each side. */
export function largestMultiple(
  what: string,
  height: number,
  width: number,
  multiple: number,
): { height: number; width: number } {
  if (!Number.isSafeInteger(multiple) || multiple < 1) {
    throw new ShapeError(`${what}: the multiple must be a positive integer, got ${multiple}`);
  }
  if (height < multiple || width < multiple) {
    throw new DataError(
      `${what}: a picture of ${width}x${height} is smaller than ${multiple}x${multiple}, nothing would be left`,
      { hint: 'Enlarge the picture, or use the size policy "reflect-pad".' },
    );
  }
  return { height: height - (height % multiple), width: width - (width % multiple) };
}

/**
 * Cuts both sides down to a multiple, equally on both ends (the odd pixel goes at the right and the bottom).
 *
 * @throws DataError when a side is smaller than the multiple
 */
export function centerCropToMultiple(image: Image, multiple: number): Image {
  const { width, height } = largestMultiple("centerCropToMultiple", image.height, image.width, multiple);
  return cropImage(
    image,
    Math.floor((image.width - width) / 2),
    Math.floor((image.height - height) / 2),
    width,
    height,
  );
}

/**
 * Cuts both sides down to a multiple at the right and the bottom, as the official demo scripts do.
 *
 * @throws DataError when a side is smaller than the multiple
 */
export function topLeftCropToMultiple(image: Image, multiple: number): Image {
  const { width, height } = largestMultiple("topLeftCropToMultiple", image.height, image.width, multiple);
  return cropImage(image, 0, 0, width, height);
}

/** Nearest integer, ties to even (Python's `round`). */
function roundHalfEven(value: number): number {
  const low = Math.floor(value);
  const rest = value - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 !== 0) ? low + 1 : low;
}

/**
 * The picture at exactly `size`, scaled and cut at the center.
 *
 * @param size side of a square, or [height, width]
 * @returns the picture itself when it has that size already
 * @throws ShapeError when a target side isn't a positive integer
 */
export function dmCrop(image: Image, size: number | readonly [height: number, width: number]): Image {
  const [height, width] = typeof size === "number" ? [size, size] : size;
  if (!Number.isSafeInteger(height) || !Number.isSafeInteger(width) || height < 1 || width < 1) {
    throw new ShapeError(`dmCrop: the target size must be positive integers, got ${width}x${height}`);
  }
  if (image.width === width && image.height === height) return image;
  let current = image;
  while (current.width >= 2 * width && current.height >= 2 * height) {
    current = resizeImage(current, Math.floor(current.width / 2), Math.floor(current.height / 2), "box");
  }
  const scale = Math.max(height / current.height, width / current.width);
  const resized = resizeImage(
    current,
    roundHalfEven(current.width * scale),
    roundHalfEven(current.height * scale),
    "bicubic",
  );
  const left = Math.floor((resized.width - width) / 2);
  const top = Math.floor((resized.height - height) / 2);
  return cropImage(resized, left, top, width, height);
}

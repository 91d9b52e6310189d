/**
 * DMCrop: the center crop by which the official code, ADM and DiT prepare every data set.
 *
 * Halve with the box filter while both sides stay at least the target, then one bicubic resize that makes the picture
 * cover the target, then cut out the center. Byte for byte as with Pillow (dcae.md section 8).
 */
import { ShapeError } from "../errors.js";
import { cropImage } from "./crop-image.js";
import type { Image } from "./image.js";
import { resizeImage } from "./resize-image.js";

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

/**
 * Crops of pictures: any rectangle, and the two ways in which public DC-AE code reaches a multiple of the compression
 * factor.
 */
import { DataError, ShapeError } from "../errors.js";
import { createImage, type Image } from "./image.js";

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

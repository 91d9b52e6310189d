/**
 * Sizes that the compression factor doesn't divide: what to do is the caller's explicit choice.
 *
 * "error" refuses, "center-crop" and "top-left-crop" lose up to factor - 1 pixels per side, "reflect-pad" adds mirrored
 * pixels at the right and the bottom and cuts them off again afterwards (the picture keeps its size and every pixel).
 *
 * Mirrored as by PyTorch's `pad(mode="reflect")` (the edge isn't repeated: 2 1 | 0 1 2 | 1 0). PyTorch refuses a padding of the
 * side's length or more; here the reflection goes back and forth as often as needed, so that tiny pictures work too. A side of one
 * pixel has nothing to reflect: the pixel is repeated.
 */
import { ConfigError, DataError, ShapeError } from "../errors.js";
import { Tensor } from "../graph/tensor.js";
import { cropImage, type Image } from "./image.js";
import { resizeImage, resizeRegion } from "./resize-image.js";

/** What can be done with sides that aren't multiples of the compression. */
export const SIZE_POLICIES = ["error", "center-crop", "top-left-crop", "reflect-pad"] as const;
/** One of `SIZE_POLICIES`. */
export type SizePolicy = (typeof SIZE_POLICIES)[number];

/** Pictures that were cropped or padded, and the way back. */
export interface FittedTensor {
  /** [N, C, H', W'] with sides that are multiples. Shares memory with the input where nothing was added. */
  readonly tensor: Tensor;
  /**
   * Takes a tensor [..., H', W'] of the fitted size (such as the reconstruction) back: cuts off what padding added. What a
   * crop removed is gone, so after a crop this returns its argument.
   *
   * @throws ShapeError when the sides aren't H' and W'
   */
  restore(result: Tensor): Tensor;
}

/**
 * Makes height and width multiples of `multiple`.
 *
 * @param tensor [N, C, H, W]
 * @throws DataError under "error" when a side isn't a multiple, and under the crops when a side is smaller than it
 * @example
 * ```ts
 * import { fitToMultiple } from "@dcae/core/image";
 * import { Tensor } from "@dcae/core";
 *
 * const { tensor, restore } = fitToMultiple(Tensor.zeros([1, 3, 100, 60]), 32, "reflect-pad");
 * console.log(tensor.shape, restore(tensor).shape); // [1, 3, 128, 64] [1, 3, 100, 60]
 * ```
 */
export function fitToMultiple(tensor: Tensor, multiple: number, policy: SizePolicy): FittedTensor {
  if (tensor.rank !== 4 || tensor.size === 0) {
    throw new ShapeError(`fitToMultiple: expected a tensor [N, C, H, W], got [${tensor.shape.join(", ")}]`);
  }
  if (!Number.isSafeInteger(multiple) || multiple < 1) {
    throw new ShapeError(`fitToMultiple: the multiple must be a positive integer, got ${multiple}`);
  }
  if (!SIZE_POLICIES.includes(policy)) {
    throw new ConfigError(
      `fitToMultiple: unknown size policy "${policy}", expected one of ${SIZE_POLICIES.join(", ")}`,
    );
  }
  const height = tensor.shape[2] as number;
  const width = tensor.shape[3] as number;
  if (height % multiple === 0 && width % multiple === 0) return fitted(tensor);
  if (policy === "error") {
    throw new DataError(`the picture's size ${width}x${height} isn't a multiple of ${multiple}`, {
      hint: 'Crop it, or choose a size policy: "center-crop", "top-left-crop" or "reflect-pad".',
    });
  }
  if (policy === "reflect-pad") {
    const bottom = (multiple - (height % multiple)) % multiple;
    const right = (multiple - (width % multiple)) % multiple;
    return fitted(reflectPad(tensor, { bottom, right }), { height, width });
  }
  const target = largestMultiple(policy, height, width, multiple);
  const top = policy === "center-crop" ? Math.floor((height - target.height) / 2) : 0;
  const left = policy === "center-crop" ? Math.floor((width - target.width) / 2) : 0;
  const ranges = [
    undefined,
    undefined,
    { start: top, stop: top + target.height },
    { start: left, stop: left + target.width },
  ];
  return fitted(tensor.slice(ranges));
}

function fitted(tensor: Tensor, original?: { readonly height: number; readonly width: number }): FittedTensor {
  const [height, width] = tensor.shape.slice(-2);
  return {
    tensor,
    restore(result) {
      const [gotHeight, gotWidth] = result.shape.slice(-2);
      if (gotHeight !== height || gotWidth !== width) {
        throw new ShapeError(`restore: expected a tensor [..., ${height}, ${width}], got [${result.shape.join(", ")}]`);
      }
      if (original === undefined) return result;
      const leading = new Array<undefined>(result.rank - 2).fill(undefined);
      return result.slice([...leading, { stop: original.height }, { stop: original.width }]);
    },
  };
}

/** Rows and columns to add. */
export interface Padding {
  readonly top?: number;
  readonly bottom?: number;
  readonly left?: number;
  readonly right?: number;
}

/** Source index of each position -before .. length + after - 1. */
function reflectedIndices(length: number, before: number, after: number): Int32Array {
  const period = Math.max(2 * (length - 1), 1);
  return Int32Array.from({ length: before + length + after }, (_, i) => {
    const position = (((i - before) % period) + period) % period;
    return position < length ? position : period - position;
  });
}

/**
 * A float32 tensor [..., H, W] padded to [..., top + H + bottom, left + W + right].
 *
 * @throws ShapeError when the tensor has no pixels or a padding isn't a non-negative integer
 */
export function reflectPad(tensor: Tensor, padding: Padding): Tensor<"float32"> {
  const { top = 0, bottom = 0, left = 0, right = 0 } = padding;
  if (![top, bottom, left, right].every((size) => Number.isSafeInteger(size) && size >= 0)) {
    throw new ShapeError(`reflectPad: paddings must be non-negative integers, got ${JSON.stringify(padding)}`);
  }
  const height = tensor.shape.at(-2) ?? 0;
  const width = tensor.shape.at(-1) ?? 0;
  if (tensor.size === 0 || height < 1) {
    throw new ShapeError(`reflectPad: expected a tensor [..., H, W], got [${tensor.shape.join(", ")}]`);
  }
  const rows = reflectedIndices(height, top, bottom);
  const columns = reflectedIndices(width, left, right);
  const data = tensor.toFloat32();
  const planes = tensor.size / (height * width);
  const out = new Float32Array(planes * rows.length * columns.length);
  let to = 0;
  for (let plane = 0; plane < planes; plane++) {
    for (const y of rows) {
      const from = (plane * height + y) * width;
      for (const x of columns) out[to++] = data[from + x] as number;
    }
  }
  return new Tensor("float32", out, [...tensor.shape.slice(0, -2), rows.length, columns.length]);
}

// Crops of pictures: the two ways in which public DC-AE code reaches a multiple of the compression factor, and
// DMCrop, the center crop by which the official code, ADM and DiT prepare every data set.

/** The largest multiple of `multiple` that fits into each side. */
function largestMultiple(
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
  const resizedWidth = roundHalfEven(current.width * scale);
  const resizedHeight = roundHalfEven(current.height * scale);
  const left = Math.floor((resizedWidth - width) / 2);
  const top = Math.floor((resizedHeight - height) / 2);
  return resizeRegion(current, resizedWidth, resizedHeight, { left, top, width, height }, "bicubic");
}

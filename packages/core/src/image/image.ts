/**
 * 8-bit RGB pictures in memory: what files decode to, and what metrics and grids are made of.
 *
 * The layout is that of Pillow, sharp and canvas (rows of interleaved channels); models take tensors, which are planar
 * (see image-tensor.ts). No Node, no DOM: works everywhere.
 */
import { DataError, ShapeError } from "../errors.js";

/** An RGB picture, 8 bits per channel: pixel (x, y) lies at `data[(y * width + x) * 3]`. */
export interface Image {
  /** Pixels per row, at least 1. */
  readonly width: number;
  /** Rows, at least 1. */
  readonly height: number;
  /** Always 3: red, green, blue. */
  readonly channels: 3;
  /** Rows from top to bottom, `height * width * 3` bytes, sRGB values as files store them. */
  readonly data: Uint8Array;
}

/** A color as red, green and blue, each 0 to 255. */
export type Rgb = readonly [red: number, green: number, blue: number];

export const WHITE: Rgb = [255, 255, 255];
export const BLACK: Rgb = [0, 0, 0];

/**
 * A picture over `data` (not copied), or filled with a color.
 *
 * @throws ShapeError when sizes aren't positive integers or the data has another length than `width * height * 3`
 */
export function createImage(width: number, height: number, content: Uint8Array | Rgb = BLACK): Image {
  if (!Number.isSafeInteger(width) || !Number.isSafeInteger(height) || width < 1 || height < 1) {
    throw new ShapeError(`createImage: width and height must be positive integers, got ${width}x${height}`);
  }
  const length = width * height * 3;
  if (content instanceof Uint8Array) {
    if (content.length !== length) {
      throw new ShapeError(
        `createImage: ${width}x${height} RGB needs ${length} bytes, but the data has ${content.length}`,
      );
    }
    return { width, height, channels: 3, data: content };
  }
  const data = new Uint8Array(length);
  const [red, green, blue] = content;
  if (red === green && green === blue) data.fill(red);
  else {
    for (let i = 0; i < length; i += 3) {
      data[i] = red;
      data[i + 1] = green;
      data[i + 2] = blue;
    }
  }
  return { width, height, channels: 3, data };
}

/**
 * A picture from RGBA pixels, such as the `ImageData` of a canvas.
 *
 * @param alpha "drop" keeps the stored colors; a color is what lies behind transparent pixels
 * @throws DataError when the data doesn't hold `width * height` RGBA pixels
 */
export function imageFromRgba(
  rgba: { readonly width: number; readonly height: number; readonly data: Uint8Array | Uint8ClampedArray },
  alpha: "drop" | Rgb = "drop",
): Image {
  const { width, height, data } = rgba;
  if (data.length !== width * height * 4) {
    throw new DataError(`imageFromRgba: ${width}x${height} RGBA needs ${width * height * 4} bytes, got ${data.length}`);
  }
  const image = createImage(width, height);
  const out = image.data;
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    const opacity = alpha === "drop" ? 255 : (data[from + 3] as number);
    for (let channel = 0; channel < 3; channel++) {
      const value = data[from + channel] as number;
      const behind = alpha === "drop" ? 0 : (alpha[channel] as number);
      out[to + channel] = Math.floor((value * opacity + behind * (255 - opacity)) / 255 + 0.5);
    }
  }
  return image;
}

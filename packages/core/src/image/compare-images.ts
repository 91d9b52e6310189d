/**
 * Two pictures compared: as a number, the peak signal-to-noise ratio by which DC-AE is evaluated (dcae.md section 8,
 * evaluation.md section 8), and as a heat map of where they differ: black is equal, then violet, red, orange, yellow, white.
 */
import { ConfigError, ShapeError } from "../errors.js";
import { createImage, type Image, type Rgb, WHITE } from "./image.js";

/**
 * 10 log10(range^2 / MSE) in decibels; the mean squared error is taken over all samples, which must be those of one picture: the
 * PSNR of a set is the mean of its pictures' values, not the PSNR of the mean error. Identical samples give Infinity.
 *
 * @throws ShapeError when lengths differ or there are no samples
 */
export function psnrOf(reference: ArrayLike<number>, reconstruction: ArrayLike<number>, range = 255): number {
  const { length } = reference;
  if (length === 0 || reconstruction.length !== length) {
    throw new ShapeError(`psnr: ${length} samples and ${reconstruction.length} samples`);
  }
  let sum = 0; // exact for 8 bits: at most 65025 per value
  for (let i = 0; i < length; i++) {
    const difference = (reference[i] as number) - (reconstruction[i] as number);
    sum += difference * difference;
  }
  return sum === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10((range * range * length) / sum);
}

/**
 * `psnrOf` two pictures, all pixels and channels together.
 *
 * @throws ShapeError when sizes differ
 * @example
 * ```ts
 * import { AutoencoderDC, loadImage, psnr, toImage } from "@dcae/core";
 *
 * const original = await loadImage("cat.jpg", { size: 256 });
 * const ae = await AutoencoderDC.fromPretrained("small-f32");
 * const decoded = await ae.reconstruct(original);
 * console.log(psnr(await toImage(original), await toImage(decoded)).toFixed(1), "dB");
 * await ae.dispose();
 * ```
 */
export function psnr(reference: Image, reconstruction: Image): number {
  if (reference.width !== reconstruction.width || reference.height !== reconstruction.height) {
    throw new ShapeError(
      `psnr: the reference is ${reference.width}x${reference.height}, ` +
        `the reconstruction ${reconstruction.width}x${reconstruction.height}`,
    );
  }
  return psnrOf(reference.data, reconstruction.data);
}

/** Colors at equal distances, of steadily rising luminance, so that the map reads in grey too. */
const RAMP: readonly Rgb[] = [
  [0, 0, 0],
  [58, 12, 96],
  [150, 24, 88],
  [226, 76, 36],
  [252, 176, 36],
  [255, 255, 220],
];

const COLORS = Uint8Array.from({ length: 256 * 3 }, (_, i) => {
  const position = (Math.floor(i / 3) / 255) * (RAMP.length - 1);
  const low = Math.min(Math.floor(position), RAMP.length - 2);
  const from = (RAMP[low] as Rgb)[i % 3] as number;
  const to = (RAMP[low + 1] as Rgb)[i % 3] as number;
  return Math.round(from + (to - from) * (position - low));
});

/**
 * A heat map of the largest channel difference of each pixel, times `gain`.
 *
 * @param gain differences of 255 / gain or more are white; 4 by default, which makes a difference of 64 white
 * @throws ShapeError when sizes differ
 */
export function differenceMap(a: Image, b: Image, gain = 4): Image {
  if (a.width !== b.width || a.height !== b.height) {
    throw new ShapeError(`differenceMap: sizes differ: ${a.width}x${a.height} and ${b.width}x${b.height}`);
  }
  const map = createImage(a.width, a.height);
  for (let i = 0; i < map.data.length; i += 3) {
    let largest = 0;
    for (let c = i; c < i + 3; c++) {
      largest = Math.max(largest, Math.abs((a.data[c] as number) - (b.data[c] as number)));
    }
    const level = Math.min(Math.round(largest * gain), 255) * 3;
    map.data[i] = COLORS[level] as number;
    map.data[i + 1] = COLORS[level + 1] as number;
    map.data[i + 2] = COLORS[level + 2] as number;
  }
  return map;
}

/** How pictures are laid out on a sheet. */
export interface GridOptions {
  /** Pictures per row; by default the smallest number that makes the sheet at least as wide as it is high. */
  readonly columns?: number;
  /** Pixels between pictures and around the sheet; 2 by default. */
  readonly padding?: number;
  /** Color of padding and of empty cells; white by default. */
  readonly background?: Rgb;
}

function paste(target: Image, source: Image, left: number, top: number): void {
  for (let y = 0; y < source.height; y++) {
    const row = source.data.subarray(y * source.width * 3, (y + 1) * source.width * 3);
    target.data.set(row, ((top + y) * target.width + left) * 3);
  }
}

/**
 * One picture with all `images`, row by row. Cells have the size of the largest picture; smaller ones are centered.
 *
 * @throws ShapeError when there is no picture, ConfigError when an option isn't a fitting integer
 */
export function makeGrid(images: readonly Image[], options: GridOptions = {}): Image {
  if (images.length === 0) throw new ShapeError("makeGrid: expected at least one image, got none");
  const { columns = Math.ceil(Math.sqrt(images.length)), padding = 2, background = WHITE } = options;
  if (!Number.isSafeInteger(columns) || columns < 1) {
    throw new ConfigError(`makeGrid: columns must be a positive integer, got ${columns}`);
  }
  if (!Number.isSafeInteger(padding) || padding < 0) {
    throw new ConfigError(`makeGrid: padding must be a non-negative integer, got ${padding}`);
  }
  const across = Math.min(columns, images.length);
  const cellWidth = images.reduce((size, image) => Math.max(size, image.width), 0);
  const cellHeight = images.reduce((size, image) => Math.max(size, image.height), 0);
  const down = Math.ceil(images.length / across);
  const sheet = createImage(
    across * (cellWidth + padding) + padding,
    down * (cellHeight + padding) + padding,
    background,
  );
  images.forEach((image, index) => {
    const left = padding + (index % across) * (cellWidth + padding) + Math.floor((cellWidth - image.width) / 2);
    const top = padding + Math.floor(index / across) * (cellHeight + padding);
    paste(sheet, image, left, top + Math.floor((cellHeight - image.height) / 2));
  });
  return sheet;
}

/** Pictures in one row without an outer margin, `gap` pixels apart: original and reconstruction, for instance. */
export function sideBySide(images: readonly Image[], gap = 4, background: Rgb = WHITE): Image {
  if (images.length === 0) throw new ShapeError("sideBySide: expected at least one image, got none");
  if (!Number.isSafeInteger(gap) || gap < 0) {
    throw new ConfigError(`sideBySide: gap must be a non-negative integer, got ${gap}`);
  }
  const height = images.reduce((size, image) => Math.max(size, image.height), 0);
  const width = images.reduce((sum, image) => sum + image.width, gap * (images.length - 1));
  const sheet = createImage(width, height, background);
  let left = 0;
  for (const image of images) {
    paste(sheet, image, left, Math.floor((height - image.height) / 2));
    left += image.width + gap;
  }
  return sheet;
}

/**
 * Contact sheets: pictures side by side, or in rows and columns.
 */
import { ConfigError, ShapeError } from "../errors.js";
import { createImage, type Image, type Rgb, WHITE } from "./image.js";

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

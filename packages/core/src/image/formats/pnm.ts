/**
 * PBM, PGM and PPM, plain and binary, one or two bytes per sample: sharp's prebuilt libvips has no reader for them.
 *
 * Samples of another maximum than 255 are scaled to it and rounded, as Pillow does. Source: Netpbm's pbm(5), pgm(5), ppm(5).
 */
import { DataError } from "../../errors.js";
import { checkPictureSize, endsEarly, type RawPicture } from "../image.js";

const isSpace = (byte: number | undefined) => byte === 32 || (byte !== undefined && byte >= 9 && byte <= 13);
const isDigit = (byte: number | undefined) => byte !== undefined && byte >= 48 && byte <= 57;
const HASH = 35;
const NEWLINES: readonly (number | undefined)[] = [10, 13];

/** Reads the numbers of a header or of a plain file. */
function createScanner(bytes: Uint8Array, start: number) {
  let at = start;
  function skipSpace(): void {
    for (;;) {
      if (bytes[at] === HASH) while (at < bytes.length && !NEWLINES.includes(bytes[at])) at++;
      else if (!isSpace(bytes[at])) return;
      else at++;
    }
  }
  return {
    /** @param digits at most: plain bitmaps may have no space between them */
    number(digits = 9): number {
      skipSpace();
      if (at >= bytes.length) endsEarly();
      let value = 0;
      const first = at;
      while (at < first + digits && isDigit(bytes[at])) value = value * 10 + (bytes[at++] as number) - 48;
      if (at === first) throw new DataError(`not a number at byte ${at}`);
      return value;
    },
    /** Behind the single space that ends a header. */
    raster(): number {
      if (!isSpace(bytes[at])) throw new DataError(`no space at byte ${at}, where the header ends`);
      return at + 1;
    },
  };
}

/** Python's rounding, which Pillow uses here. */
function roundHalfToEven(value: number): number {
  const rounded = Math.round(value);
  return value % 1 === 0.5 && rounded % 2 === 1 ? rounded - 1 : rounded;
}

/** Whether bytes begin like one of these files. */
export function isPnm(bytes: Uint8Array): boolean {
  const kind = bytes[1] ?? 0;
  return bytes[0] === 80 && kind >= 49 && kind <= 54 && (isSpace(bytes[2]) || bytes[2] === HASH);
}

/**
 * The first picture of a file.
 *
 * @throws DataError when it is damaged or larger than `maxPixels`
 */
export function decodePnm(bytes: Uint8Array, maxPixels: number): RawPicture {
  const kind = (bytes[1] as number) - 48;
  const scanner = createScanner(bytes, 2);
  const [width, height] = [scanner.number(), scanner.number()];
  const isBitmap = kind === 1 || kind === 4;
  const largest = isBitmap ? 1 : scanner.number();
  if (!(largest >= 1 && largest <= 65535)) throw new DataError(`its largest value is ${largest}, not 1 to 65535`);
  checkPictureSize(width, height, maxPixels);
  const stored = kind === 3 || kind === 6 ? 3 : 1;
  const isPlain = kind <= 3;
  // Plain files have at least a digit per sample, and but for bitmaps a space.
  const rowBytes = kind === 4 ? Math.ceil(width / 8) : width * stored * (largest > 255 ? 2 : 1);
  const start = isPlain ? 0 : scanner.raster();
  if (start + (isPlain ? width * height * stored : height * rowBytes) > bytes.length) endsEarly();

  function sample(x: number, y: number, channel: number): number {
    if (isPlain) return scanner.number(isBitmap ? 1 : undefined);
    const row = start + y * rowBytes;
    if (kind === 4) return ((bytes[row + (x >> 3)] as number) >> (7 - (x & 7))) & 1;
    const at = x * stored + channel;
    if (largest <= 255) return bytes[row + at] as number;
    return ((bytes[row + 2 * at] as number) << 8) | (bytes[row + 2 * at + 1] as number);
  }

  const data = new Uint8Array(width * height * 3);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let channel = 0; channel < stored; channel++) {
        const value = Math.min(sample(x, y, channel), largest);
        // In bitmaps 1 is black.
        data[to + channel] = isBitmap ? 255 * (1 - value) : roundHalfToEven((value / largest) * 255);
      }
      if (stored === 1) data.fill(data[to] as number, to + 1, to + 3);
      to += 3;
    }
  }
  return { width, height, channels: 3, data };
}

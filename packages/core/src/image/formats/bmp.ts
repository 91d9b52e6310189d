/**
 * Windows bitmaps: sharp's prebuilt libvips has no reader for them.
 *
 * Read: headers of OS/2 (12 bytes) and Windows (40 bytes and more), 1, 4 and 8 bits with a palette, 16, 24 and 32 bits, bit masks,
 * and run lengths. JPEG and PNG inside of a bitmap are refused. Where there is no mask for alpha, the fourth byte means nothing.
 * Source: Microsoft's documentation of BITMAPFILEHEADER, BITMAPINFOHEADER, BITMAPV4HEADER and "Bitmap Compression".
 */
import { DataError } from "../../errors.js";
import { checkPictureSize, endsEarly, type RawPicture } from "../image.js";

const FILE_HEADER = 14;
const [PLAIN, RUNS_8, RUNS_4, MASKS, ALPHA_MASKS] = [0, 1, 2, 3, 6] as const;
const DEPTHS: readonly number[] = [1, 4, 8, 16, 24, 32];

interface Header {
  readonly width: number;
  readonly height: number;
  /** Rows from top to bottom; the usual order is from bottom to top. */
  readonly topDown: boolean;
  readonly bits: number;
  readonly compression: number;
  /** Where palette or pixels begin. */
  readonly paletteStart: number;
  readonly paletteEntry: 3 | 4;
  readonly paletteLength: number;
  readonly pixels: number;
  /** Of red, green, blue, alpha, for 16 and 32 bits. */
  readonly masks: readonly [number, number, number, number];
}

export function isBmp(bytes: Uint8Array): boolean {
  return bytes[0] === 0x42 && bytes[1] === 0x4d;
}

function readHeader(view: DataView): Header {
  if (view.byteLength < FILE_HEADER + 12) endsEarly();
  const size = view.getUint32(14, true);
  if (size !== 12 && !(size >= 40 && size <= 256))
    throw new DataError(`not a bitmap: its header would have ${size} bytes`);
  if (view.byteLength < FILE_HEADER + size) endsEarly();
  const pixels = view.getUint32(10, true);
  if (size === 12) {
    const bits = view.getUint16(24, true);
    return {
      width: view.getUint16(18, true),
      height: view.getUint16(20, true),
      topDown: false,
      bits,
      compression: PLAIN,
      paletteStart: FILE_HEADER + size,
      paletteEntry: 3,
      paletteLength: bits <= 8 ? 2 ** bits : 0,
      pixels,
      masks: masksOf(bits),
    };
  }
  const height = view.getInt32(22, true);
  const bits = view.getUint16(28, true);
  const compression = view.getUint32(30, true);
  const hasMasks = compression === MASKS || compression === ALPHA_MASKS;
  const masksBehind = hasMasks && size === 40 ? (compression === ALPHA_MASKS ? 4 : 3) : 0;
  const maskCount = masksBehind || (size >= 56 ? 4 : 3);
  if (hasMasks && view.byteLength < 54 + 4 * maskCount) endsEarly();
  const mask = (i: number) => (i < maskCount ? view.getUint32(54 + 4 * i, true) : 0);
  return {
    width: view.getInt32(18, true),
    height: Math.abs(height),
    topDown: height < 0,
    bits,
    compression,
    paletteStart: FILE_HEADER + size + 4 * masksBehind,
    paletteEntry: 4,
    paletteLength: bits <= 8 ? Math.min(view.getUint32(46, true) || 2 ** bits, 2 ** bits) : 0,
    pixels,
    masks: hasMasks ? [mask(0), mask(1), mask(2), mask(3)] : masksOf(bits),
  };
}

/** What 16 and 32 bits mean without masks. */
function masksOf(bits: number): Header["masks"] {
  return bits === 16 ? [0x7c00, 0x3e0, 0x1f, 0] : [0xff0000, 0xff00, 0xff, 0];
}

/** From a pixel to 8 bits of one channel; a mask of zero is a channel that isn't there. */
function channelReader(mask: number): (pixel: number) => number {
  if (mask === 0) return () => 255;
  const shift = Math.log2(mask & -mask) % 32;
  const low = (mask >>> (shift < 0 ? 31 : shift)) >>> 0;
  return (pixel) => Math.floor((((pixel & mask) >>> (shift < 0 ? 31 : shift)) * 255) / low);
}

/**
 * @throws DataError when it is damaged, of a kind that isn't read, or larger than `maxPixels`
 */
export function decodeBmp(bytes: Uint8Array, maxPixels: number): RawPicture {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = readHeader(view);
  const { width, height, bits, compression, pixels } = header;
  checkPictureSize(width, height, maxPixels);
  const fits =
    compression === PLAIN ||
    (compression === RUNS_8 && bits === 8) ||
    (compression === RUNS_4 && bits === 4) ||
    ((compression === MASKS || compression === ALPHA_MASKS) && (bits === 16 || bits === 32));
  if (!DEPTHS.includes(bits) || !fits) {
    throw new DataError(`a bitmap of ${bits} bits with compression ${compression} isn't read`, {
      hint: "Save it as PNG.",
    });
  }
  return bits <= 8 ? decodePalette(bytes, header) : decodeColors(view, header, pixels);
}

function decodeColors(view: DataView, { width, height, topDown, bits, masks }: Header, pixels: number): RawPicture {
  const step = bits / 8;
  const rowBytes = Math.ceil((width * bits) / 32) * 4;
  if (pixels + rowBytes * height > view.byteLength) endsEarly();
  const readers = masks.map(channelReader) as [(p: number) => number, ...((p: number) => number)[]];
  const channels = masks[3] === 0 ? 3 : 4;
  const data = new Uint8Array(width * height * channels);
  for (let y = 0, to = 0; y < height; y++) {
    let from = pixels + (topDown ? y : height - 1 - y) * rowBytes;
    for (let x = 0; x < width; x++, from += step, to += channels) {
      if (bits === 24) {
        for (let c = 0; c < 3; c++) data[to + c] = view.getUint8(from + 2 - c);
        continue;
      }
      const pixel = bits === 16 ? view.getUint16(from, true) : view.getUint32(from, true);
      for (let c = 0; c < channels; c++) data[to + c] = (readers[c] as (p: number) => number)(pixel);
    }
  }
  return { width, height, channels, data };
}

function decodePalette(bytes: Uint8Array, header: Header): RawPicture {
  const { width, height, topDown, compression, paletteStart, paletteEntry, paletteLength } = header;
  if (paletteStart + paletteEntry * paletteLength > bytes.length) endsEarly();
  const indices = compression === PLAIN ? packedIndices(bytes, header) : runIndices(bytes, header);
  const data = new Uint8Array(width * height * 3);
  for (let y = 0, to = 0; y < height; y++) {
    const row = (topDown ? y : height - 1 - y) * width;
    for (let x = 0; x < width; x++, to += 3) {
      const index = indices[row + x] as number;
      // Beyond the palette is black, as in Pillow.
      if (index >= paletteLength) continue;
      const color = paletteStart + index * paletteEntry;
      for (let c = 0; c < 3; c++) data[to + c] = bytes[color + 2 - c] as number;
    }
  }
  return { width, height, channels: 3, data };
}

/** Palette indices in the order of the file. */
function packedIndices(bytes: Uint8Array, { width, height, bits, pixels }: Header): Uint8Array {
  const rowBytes = Math.ceil((width * bits) / 32) * 4;
  if (pixels + rowBytes * height > bytes.length) endsEarly();
  const perByte = 8 / bits;
  const indices = new Uint8Array(width * height);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to++) {
      const byte = bytes[pixels + y * rowBytes + Math.floor(x / perByte)] as number;
      indices[to] = (byte >> (8 - bits * ((x % perByte) + 1))) & (2 ** bits - 1);
    }
  }
  return indices;
}

/** Run lengths: pairs (count, value); a count of 0 escapes: end of row, end of bitmap, a move, or literal values. */
function runIndices(bytes: Uint8Array, { width, height, bits, pixels }: Header): Uint8Array {
  const indices = new Uint8Array(width * height);
  let [at, x, y] = [pixels, 0, 0];
  const next = () => (at < bytes.length ? (bytes[at++] as number) : endsEarly());
  const put = (value: number) => {
    if (x < width && y < height) indices[y * width + x] = value;
    x++;
  };
  const nibbleOf = (byte: number, i: number) => (bits === 8 ? byte : i % 2 === 0 ? byte >> 4 : byte & 15);
  while (y < height) {
    const count = next();
    const value = next();
    if (count > 0) for (let i = 0; i < count; i++) put(nibbleOf(value, i));
    else if (value === 0) [x, y] = [0, y + 1];
    else if (value === 1) break;
    else if (value === 2) [x, y] = [x + next(), y + next()];
    else {
      let byte = 0;
      for (let i = 0; i < value; i++) {
        if (bits === 8 || i % 2 === 0) byte = next();
        put(nibbleOf(byte, i));
      }
      // Literal values end at an even position.
      if (Math.ceil(bits === 8 ? value : value / 2) % 2 === 1) at++;
    }
  }
  return indices;
}

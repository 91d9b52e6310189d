/**
 * GIF as Pillow's `convert("RGB")` sees it: transparent pixels have the color that the palette gives their index, and what the
 * first frame doesn't cover has that of the transparent index, else of index 0. libvips (libnsgif) drops these colors while decoding.
 * So the mark of transparency is taken out of the first frame before it is decoded, and the rest is filled in afterwards.
 * Source: GIF89a, sections 18 to 23.
 */

export interface OpaqueGif {
  /** The file, whose first frame has no transparency. */
  readonly bytes: Uint8Array;
  /** What the first frame covers. */
  readonly frame: { readonly left: number; readonly top: number; readonly width: number; readonly height: number };
  /** Of everything else. */
  readonly color: readonly [number, number, number];
}

const EXTENSION = 0x21;
const GRAPHIC_CONTROL = 0xf9;
const IMAGE = 0x2c;
const HEADER_BYTES = 13;

export function isGif(bytes: Uint8Array): boolean {
  return String.fromCharCode(...bytes.subarray(0, 4)) === "GIF8";
}

/** @returns undefined where the file ends before its first frame: decoding says what is wrong */
export function opaqueGif(original: Uint8Array): OpaqueGif | undefined {
  if (original.length < HEADER_BYTES) return undefined;
  const bytes = Uint8Array.from(original);
  const at16 = (at: number) => (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
  const paletteSize = (flags: number) => ((flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 7) + 1));
  const globalSize = paletteSize(bytes[10] as number);
  let transparent = 0;
  for (let at = HEADER_BYTES + globalSize; at < bytes.length; ) {
    if (bytes[at] === EXTENSION) {
      if (bytes[at + 1] === GRAPHIC_CONTROL && bytes[at + 2] === 4 && at + 7 < bytes.length) {
        const flags = bytes[at + 3] as number;
        transparent = (flags & 1) === 1 ? (bytes[at + 6] as number) : 0;
        bytes[at + 3] = flags & ~1;
      }
      at += 2;
      // Blocks with their lengths, the last one empty.
      while (at < bytes.length && bytes[at] !== 0) at += 1 + (bytes[at] as number);
      at += 1;
      continue;
    }
    if (bytes[at] !== IMAGE || at + 10 > bytes.length) return undefined;
    const localSize = paletteSize(bytes[at + 9] as number);
    const palette = localSize > 0 ? at + 10 : HEADER_BYTES;
    const inside = 3 * transparent < (localSize || globalSize);
    const channel = (i: number) => (inside ? (bytes[palette + 3 * transparent + i] ?? 0) : 0);
    return {
      bytes,
      frame: { left: at16(at + 1), top: at16(at + 3), width: at16(at + 5), height: at16(at + 7) },
      color: [channel(0), channel(1), channel(2)],
    };
  }
  return undefined;
}

/** Fills in, in RGB or RGBA pixels, what the first frame doesn't cover. */
export function fillOutside(
  { frame, color }: OpaqueGif,
  pixels: { readonly width: number; readonly height: number; readonly channels: number; readonly data: Uint8Array },
): void {
  const { width, height, channels, data } = pixels;
  const { left, top } = frame;
  for (let y = 0; y < height; y++) {
    const inside = y >= top && y < top + frame.height;
    for (let x = 0; x < width; x++) {
      if (inside && x >= left && x < left + frame.width) {
        x = left + frame.width - 1;
        continue;
      }
      data.set(color, (y * width + x) * channels);
    }
  }
}

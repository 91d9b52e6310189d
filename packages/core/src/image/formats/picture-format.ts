/** What a picture file is, by its first bytes: its name may say anything. */
import { isBmp } from "./bmp.js";
import { isGif } from "./gif-first-frame.js";
import { isPnm } from "./pnm.js";

/** Picture formats that are told by their first bytes. */
export type PictureFormat = "jpeg" | "png" | "gif" | "webp" | "tiff" | "avif" | "svg" | "bmp" | "pnm";

/** Bytes from the start that decide. */
const FORMAT_BYTES = 1024;

const text = (bytes: Uint8Array, start: number, end: number) => String.fromCharCode(...bytes.subarray(start, end));

/** The format of a file that begins with `bytes`, or undefined when it is none that is read. */
export function pictureFormat(bytes: Uint8Array): PictureFormat | undefined {
  const [a, b, c, d] = bytes;
  if (a === 0xff && b === 0xd8 && c === 0xff) return "jpeg";
  if (a === 0x89 && text(bytes, 1, 4) === "PNG") return "png";
  if (isGif(bytes)) return "gif";
  if (text(bytes, 0, 4) === "RIFF" && text(bytes, 8, 12) === "WEBP") return "webp";
  const order = text(bytes, 0, 2);
  // 42 is TIFF, 43 BigTIFF.
  if (order === "II" && (c === 42 || c === 43) && d === 0) return "tiff";
  if (order === "MM" && c === 0 && (d === 42 || d === 43)) return "tiff";
  if (text(bytes, 4, 8) === "ftyp") return "avif";
  if (isBmp(bytes)) return "bmp";
  if (isPnm(bytes)) return "pnm";
  // Compressed SVG, and SVG behind a declaration, comments or a document type.
  if ((a === 0x1f && b === 0x8b) || /<svg/i.test(text(bytes, 0, FORMAT_BYTES))) return "svg";
  return undefined;
}

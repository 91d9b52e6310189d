/** What a file is, by the ending of its name. */
import { extname } from "node:path";

export type ArrayFormat = "npy" | "safetensors";

/** Endings of pictures that a folder is searched for. A file that is named itself is read whatever its ending. */
export const PICTURE_ENDINGS: ReadonlySet<string> = new Set([
  ".jpg",
  ".jpeg",
  ".png",
  ".webp",
  ".avif",
  ".tif",
  ".tiff",
  ".gif",
  ".svg",
]);

export function isPictureName(path: string): boolean {
  return PICTURE_ENDINGS.has(extname(path).toLowerCase());
}

/** The format of an array file, or undefined when the name isn't that of one. */
export function arrayFormatOf(path: string): ArrayFormat | undefined {
  const ending = extname(path).toLowerCase();
  return ending === ".npy" ? "npy" : ending === ".safetensors" ? "safetensors" : undefined;
}

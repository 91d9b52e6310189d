/** What a file is, by the ending of its name. */
import { extname } from "node:path";

export type ArrayFormat = "npy" | "safetensors";

/** The format of an array file, or undefined when the name isn't that of one. */
export function arrayFormatOf(path: string): ArrayFormat | undefined {
  const ending = extname(path).toLowerCase();
  return ending === ".npy" ? "npy" : ending === ".safetensors" ? "safetensors" : undefined;
}

/**
 * Loads sharp when the first picture is read or written, so that programs without pictures never touch its native code.
 */
import type { default as Sharp } from "sharp";
import { EngineError, errorMessage } from "../errors.js";

let loaded: Promise<typeof Sharp> | undefined;

/**
 * The sharp module.
 *
 * @throws EngineError when its native part for this platform isn't installed
 */
export function loadSharp(): Promise<typeof Sharp> {
  loaded ??= import("sharp").then(
    (module) => module.default,
    (error: unknown) => {
      loaded = undefined;
      throw new EngineError(`sharp, which reads and writes pictures, can't be loaded: ${firstLine(error)}`, {
        cause: error,
        hint: "Install it for this platform: npm install --include=optional sharp",
      });
    },
  );
  return loaded;
}

/** The first line of a native library's message, which may go on for pages. */
export function firstLine(error: unknown): string {
  return (errorMessage(error).trim().split("\n")[0] as string).trim();
}

/**
 * What Vite's development server has to be told: it bundles packages ahead, and leaves behind the files that they name by
 * `new URL(<text>, import.meta.url)` (workers, weights, WebAssembly). Builds need no line.
 */
import type { DcaeErrorOptions } from "./errors.js";

const LINE = 'optimizeDeps: { exclude: ["@dcae/core", "@dcae/diffusion", "onnxruntime-web"] }';

/**
 * What is wrong, with the next step where Vite has bundled this package ahead, and a file of it isn't found. The step is part of the
 * message there: the console of a browser, where somebody meets this first, shows no hints.
 *
 * @param otherwise the hint in all other cases
 */
export function missingFile(message: string, otherwise: string): readonly [message: string, options: DcaeErrorOptions] {
  if (!import.meta.url.includes("/node_modules/.vite/")) return [message, { hint: otherwise }];
  return [`${message}: Vite bundled the package ahead, without its files; put ${LINE} into vite.config`, {}];
}

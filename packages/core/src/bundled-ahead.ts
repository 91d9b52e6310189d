/**
 * What Vite's development server has to be told: it bundles packages ahead, and leaves behind the files that they name by
 * `new URL(<text>, import.meta.url)` (workers, weights, WebAssembly). Builds need no line.
 */
const LINE = 'optimizeDeps: { exclude: ["@dcae/core", "@dcae/diffusion", "onnxruntime-web"] }';

/** The next step where Vite has bundled this package ahead, and a file of it isn't found; otherwise undefined. */
export function bundledAheadHint(): string | undefined {
  if (!import.meta.url.includes("/node_modules/.vite/")) return undefined;
  return `Vite bundled the package ahead, without its files: put ${LINE} into vite.config.`;
}

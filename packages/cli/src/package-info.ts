/** The package's own version. */
import { createRequire } from "node:module";

interface Manifest {
  readonly version: string;
  readonly engines: { readonly node: string };
}

/** package.json lies one folder above this file, in the sources and in the built package alike. */
const manifest = createRequire(import.meta.url)("../package.json") as Manifest;

export const VERSION: string = manifest.version;

/** The lowest Node version that is supported, as in "20.19". */
export const NEEDED_NODE: string = manifest.engines.node.replace(/^>=/, "");

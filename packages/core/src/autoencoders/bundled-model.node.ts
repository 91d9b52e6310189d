/**
 * The small autoencoder that the package carries: a DC-AE f32 with 32 channels and 4.6 million parameters, trained by this
 * project (recipe "small-f32" of @dcae/train), for first tries, tests and demos without a network.
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** What the bundled model is called wherever a model can be named. */
export const BUNDLED_MODEL = "small-f32";

/**
 * The folder of the bundled model, an official-format checkpoint in float16, as `openCheckpoint` and
 * `AutoencoderDC.fromPretrained` take it.
 */
export function bundledModelPath(): string {
  // By the package's own name: sources and bundles lie at different depths below it.
  const manifest = createRequire(import.meta.url).resolve("@dcae/core/package.json");
  return join(dirname(manifest), "assets", BUNDLED_MODEL);
}

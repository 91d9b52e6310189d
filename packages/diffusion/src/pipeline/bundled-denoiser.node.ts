/**
 * The small diffusion model that the package carries: a USiT (UViT with the flow objective) on latents of `small-f32` from
 * @dcae/core, twelve classes of procedural scenes at 128x128, trained by this project (recipe "usit-scenes").
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** What the bundled model is called wherever a diffusion model can be named. */
export const BUNDLED_DENOISER = "usit-scenes";

/** Its folder, in float16, as `openDenoiser` and `ClassConditionalPipeline.fromPretrained` take it. */
export function bundledDenoiserPath(): string {
  const manifest = createRequire(import.meta.url).resolve("@dcae/diffusion/package.json");
  return join(dirname(manifest), "assets", BUNDLED_DENOISER);
}

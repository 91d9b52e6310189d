/**
 * The larger of the diffusion models that the package carries, by the URLs of its files: in Node they lie in the package, in a browser where the
 * bundler puts them. Bundlers know `new URL(<text>, import.meta.url)` and copy the file, so it has to stand here as it is.
 */
import type { ModelUrls } from "@dcae/core/checkpoint";

/**
 * A USiT of 3.3 million parameters, 6.7 MB: twelve classes of scenes at 256x256, on latents of `small-f32` of `@dcae/core`.
 * `ClassConditionalPipeline.fromPretrained(usitScenes256)` needs no network but the page's own.
 *
 * @example
 * ```ts
 * import { ClassConditionalPipeline } from "@dcae/diffusion";
 * import { usitScenes256 } from "@dcae/diffusion/usit-scenes-256";
 *
 * const pipeline = await ClassConditionalPipeline.fromPretrained(usitScenes256); // in a page, too: the bundler brings the files along
 * await pipeline.dispose();
 * ```
 */
export const usitScenes256: ModelUrls = {
  name: "usit-scenes-256",
  config: new URL("../../assets/usit-scenes-256/config.json", import.meta.url),
  weights: new URL("../../assets/usit-scenes-256/model.safetensors", import.meta.url),
};

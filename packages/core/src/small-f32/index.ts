/**
 * The model that the package carries, by the URLs of its files: in Node they lie in the package, in a browser where the bundler puts
 * them. Vite, webpack 5 and their relatives know `new URL(<text>, import.meta.url)` and copy the file, so it has to stand here as it is.
 */
import type { ModelUrls } from "../checkpoint/opened-model.js";

/**
 * A DC-AE f32c32 of 4.6 million parameters, 9 MB. `AutoencoderDC.fromPretrained(smallF32)` needs no network but the page's own.
 *
 * @example
 * ```ts
 * import { AutoencoderDC } from "@dcae/core";
 * import { smallF32 } from "@dcae/core/small-f32";
 *
 * const ae = await AutoencoderDC.fromPretrained(smallF32); // in a page, too: the bundler brings the files along
 * await ae.dispose();
 * ```
 */
export const smallF32: ModelUrls = {
  name: "small-f32",
  config: new URL("../../assets/small-f32/config.json", import.meta.url),
  weights: new URL("../../assets/small-f32/model.safetensors", import.meta.url),
};

// What scripts/run-vite-page.mjs has Vite build, and runs in Chromium and in Node: the small model by the URLs of its files.
// biome-ignore lint/style/noRestrictedImports: core by its own name, so that its exports are what is tested
import { AutoencoderDC, Tensor } from "@dcae/core";
// biome-ignore lint/style/noRestrictedImports: for the same reason
import { smallF32 } from "@dcae/core/small-f32";

globalThis.runSmallModel = async () => {
  const ae = await AutoencoderDC.fromPretrained(smallF32, { device: "document" in globalThis ? "wasm" : "cpu" });
  const side = 64;
  const wave = Float32Array.from({ length: 3 * side * side }, (_, i) => Math.sin(i / 97));
  const latent = await ae.encode(Tensor.float32(wave, [1, 3, side, side]));
  const picture = await ae.decode(latent);
  await ae.dispose();
  return { latent: [...latent.data], picture: [...picture.data] };
};

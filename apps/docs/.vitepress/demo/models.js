/** The live demo's models: what the packages carry, on WebGPU where that computes as Node does, otherwise on WebAssembly. */
import { AutoencoderDC } from "@dcae/core";
import { smallF32 } from "@dcae/core/small-f32";
import { ClassConditionalPipeline } from "@dcae/diffusion";
import { usitScenes256 } from "@dcae/diffusion/usit-scenes-256";
import { PICTURE_STRIDE, wavePicture } from "./wave-picture.js";

export { imageToTensor, loadImage, psnr, Tensor, toCanvas, toImage } from "@dcae/core";

/** Relative to the largest value. A graphics card rounds otherwise than a CPU; a driver that errs is off by far more. */
const TOLERANCE = 1e-2;

/**
 * @param referenceUrl of reference.json
 * @param onProgress gets the part of the model's weights that has arrived, from 0 to 1
 * @returns the model, where it computes, and a note where that isn't what was hoped for
 */
export async function loadModel(referenceUrl, onProgress) {
  const options = {
    onProgress: ({ file, loadedBytes, totalBytes }) => {
      if (file === "model.safetensors" && totalBytes) onProgress(loadedBytes / totalBytes);
    },
  };
  const ae = await AutoencoderDC.fromPretrained(smallF32, options);
  if (ae.engine.device !== "webgpu") return { ae, device: "WebAssembly", note: "" };
  const problem = await differenceFrom(referenceUrl, ae).then(
    (difference) => (difference <= TOLERANCE ? "" : "WebGPU computes something else here"),
    () => "WebGPU doesn't work here",
  );
  if (problem === "") return { ae, device: "WebGPU", note: "" };
  await ae.dispose().catch(() => undefined);
  return {
    ae: await AutoencoderDC.fromPretrained(smallF32, { ...options, device: "wasm" }),
    device: "WebAssembly",
    note: `${problem}, so WebAssembly does it.`,
  };
}

/** How far the model is from what it gives in Node. */
async function differenceFrom(referenceUrl, ae) {
  const reference = await (await fetch(referenceUrl)).json();
  const latent = await ae.encode(wavePicture());
  const picture = await ae.decode(latent);
  const shown = picture.data.filter((_, i) => i % PICTURE_STRIDE === 0);
  return Math.max(difference(latent.data, reference.latent), difference(shown, reference.picture));
}

function difference(values, expected) {
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return expected.reduce((most, value, i) => Math.max(most, Math.abs(value - values[i]) || 0), 0) / largest;
}

/** The denoiser alone: the autoencoder is there. Its 64 tokens are too few for a graphics card to be faster. */
export function loadSampler() {
  return ClassConditionalPipeline.fromPretrained(usitScenes256, { device: "wasm", autoencoder: null });
}

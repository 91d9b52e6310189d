// node previews.mjs MODEL FOLDER PICTURE: shows what a diffusion model samples while it does, whatever program it runs in.
//
// MODEL is the tiny autoencoder of its latents: madebyollin/taesd (SD), taesdxl, taesd3, taef1 (FLUX.1), a folder, or an original file such
// as taesd_decoder.pth. The sampler writes its latents to FOLDER, [C, h, w] or [1, C, h, w] as .npy, and the newest becomes PICTURE.
// A file "done" in FOLDER ends it. README.md has the lines for diffusers.
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { AutoencoderTiny, saveImage } from "@dcae/core";
import { readNpyFile } from "@dcae/core/checkpoint";

const [model, folder, picture] = process.argv.slice(2);
if (picture === undefined) throw new Error("usage: node previews.mjs MODEL FOLDER PICTURE");

/** The newest latent; of several of one time the last by name. */
function newest() {
  const files = readdirSync(folder).filter((name) => name.endsWith(".npy"));
  const times = new Map(files.map((name) => [name, statSync(join(folder, name)).mtimeMs]));
  return files.sort((a, b) => times.get(a) - times.get(b) || a.localeCompare(b)).at(-1);
}

// Only the decoder is ever computed. Its latents are in the scale of the diffusion model: nothing to multiply by.
const preview = await AutoencoderTiny.fromPretrained(model);
let shown;
for (let done = false; !done; await setTimeout(100)) {
  done = existsSync(join(folder, "done")); // asked first, so that the last latent is shown too
  const name = newest();
  if (name === undefined || name === shown) continue;
  const latent = await readNpyFile(join(folder, name));
  const begin = performance.now();
  await saveImage(await preview.decode(latent), picture);
  console.log(`${name}: ${picture}, decoded in ${Math.round(performance.now() - begin)} ms`);
  shown = name;
}
await preview.dispose();

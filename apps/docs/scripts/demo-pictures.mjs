// Draws the pictures of the live demo, public/demo/*.png, and reference.json beside them: what small-f32 makes of a small wave in Node, by
// which the page tells whether WebGPU computes right. Run it after `npm run build`: node apps/docs/scripts/demo-pictures.mjs
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { AutoencoderDC } from "@dcae/core";
import { drawScene } from "@dcae/train/scenes";
import sharp from "sharp";
import { PICTURE_STRIDE, wavePicture } from "../.vitepress/demo/wave-picture.js";

const SIDE = 512;
/** Seeds that no training of the bundled models has drawn. */
const SCENES = { seascape: 9_000_001, city: 9_000_002, "still-life": 9_000_003 };

const folder = fileURLToPath(new URL("../public/demo/", import.meta.url));
mkdirSync(folder, { recursive: true });
for (const [kind, seed] of Object.entries(SCENES)) {
  const { width, height, data } = drawScene({ width: SIDE, height: SIDE, seed, kind });
  await sharp(data, { raw: { width, height, channels: 3 } })
    .resize(256, 256)
    .png({ compressionLevel: 9 })
    .toFile(`${folder}${kind}.png`);
}

const ae = await AutoencoderDC.fromPretrained("small-f32", { device: "cpu" });
const latent = await ae.encode(wavePicture());
const picture = await ae.decode(latent);
await ae.dispose();
const rounded = (data) => Array.from(data, (value) => Number(value.toPrecision(6)));
const reference = {
  latent: rounded(latent.data),
  picture: rounded(picture.data.filter((_, i) => i % PICTURE_STRIDE === 0)),
};
writeFileSync(`${folder}reference.json`, `${JSON.stringify(reference)}\n`);

// Fine-tuning on pages of text (`dcae finetune`'s training): the decoder of small-f32 on pages that text-pages.mjs draws, its latents bit for
// bit as before, PSNR by size of the letters, and how much of the text tesseract reads back: 1 less the edit distance over the length.
// Needs tesseract and the fonts that text-pages.mjs names. Writes results/text-finetuning.json and pages before and after.
//
//   node experiments/text-finetuning.mjs [--out runs/text] [--threads 2] [--steps 400] [--network mobilenet_v2]
//
// `--network` is a Keras model for TensorFlow.js: pictures are compared in its features, too.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AutoencoderDC, loadAutoencoder } from "@dcae/core";
import { decodeImage, imageToTensor, psnr, resizeImage, saveImage, tensorToImage } from "@dcae/core/image";
import { createEngine } from "@dcae/core/runtime";
import { finetuneConfig, trainAutoencoder } from "../dist/index.js";
import { parseOptions, resultFile } from "./options.mjs";
import { SIZES, writePages } from "./text-pages.mjs";
import { mean, rounded } from "./train-and-evaluate.mjs";

const SIDE = 256;
const HELD = 4;
const { out, threads, steps, network } = parseOptions(400);
const pages = join(out, "pages");
if (!existsSync(pages)) await writePages(pages, { count: 400, size: SIDE });
/** Pages that training doesn't see, of each size of letters; larger ones on larger pages, so that there is something to read. */
const held = [];
for (const em of [...SIZES, 96]) {
  const folder = join(out, `held-${em}px`);
  await writePages(folder, { count: HELD, seed: 7, size: em > 48 ? 2 * SIDE : SIDE, em });
  for (let i = 0; i < HELD; i++) held.push({ em, path: join(folder, `${String(i).padStart(5, "0")}-${em}px`) });
}

/** Of two texts, without regard to line breaks. */
function similarity(read, wanted) {
  const [a, b] = [read, wanted].map((text) => text.trim().replace(/\s+/g, " "));
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const before = row;
    row = [i];
    for (let j = 1; j <= b.length; j++) {
      row.push(Math.min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
  }
  return 1 - row[b.length] / Math.max(a.length, b.length, 1);
}

async function readBack(picture) {
  const path = join(out, "read.png");
  // Tesseract expects letters of about 30 pixels: everything is read at twice its size.
  await saveImage(resizeImage(picture, 2 * picture.width, 2 * picture.height), path);
  return execFileSync("tesseract", [path, "-", "--psm", "6", "-l", "eng"], {
    stdio: ["ignore", "pipe", "ignore"],
  }).toString();
}

async function measure(model, as) {
  const autoencoder = await loadAutoencoder(model, { device: "cpu", threads });
  const rows = [];
  const latents = [];
  for (const { em, path } of held) {
    const original = await decodeImage(`${path}.png`);
    const latent = await autoencoder.encode(imageToTensor(original));
    latents.push(latent.toFloat32());
    const made = tensorToImage(await autoencoder.decode(latent));
    const text = readFileSync(`${path}.txt`, "utf8");
    rows.push({
      em,
      psnr: psnr(original, made),
      read: similarity(await readBack(made), text),
      original: similarity(await readBack(original), text),
    });
    if (path.includes("00000")) {
      await mkdir(join(out, "pictures"), { recursive: true });
      await saveImage(original, join(out, "pictures", `${em}px-original.png`));
      await saveImage(made, join(out, "pictures", `${em}px-${as}.png`));
    }
  }
  await autoencoder.dispose();
  return { rows, latents };
}

const of = (rows, em, key) => rounded(mean(rows.filter((row) => row.em === em).map((row) => row[key])));
const before = await measure("small-f32", "before");

const engine = await createEngine({ device: "cpu", threads, optimize: false });
const start = await AutoencoderDC.fromPretrained("small-f32");
const architecture = start.config;
await start.dispose();
const config = finetuneConfig({
  ...{ name: "text", init: "small-f32", model: architecture, architecture },
  perceptual: network === undefined ? "none" : { network },
  data: { sources: [{ kind: "folder", path: pages }], crop: "random", workers: 1 },
  ...{ size: 128, batch: 4, accumulate: 1, steps, lr: 3e-4 },
});
const started = performance.now();
const [result] = await trainAutoencoder({ config, directory: join(out, "run"), engine });
const seconds = Math.round((performance.now() - started) / 1000);
await engine.dispose();
const after = await measure(result.model, "after");
const same = before.latents.every((latent, i) => latent.every((value, j) => Object.is(value, after.latents[i][j])));
if (!same) throw new Error("the latents have changed");

const table = [...new Set(held.map(({ em }) => em))].map((em) => ({
  em,
  psnrBefore: of(before.rows, em, "psnr"),
  psnrAfter: of(after.rows, em, "psnr"),
  readOriginal: of(before.rows, em, "original"),
  readBefore: of(before.rows, em, "read"),
  readAfter: of(after.rows, em, "read"),
}));
const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
const settings = {
  pages: 400,
  held: HELD,
  size: 128,
  batch: 4,
  updates: steps,
  perceptual: network !== undefined,
  seconds,
  latents: "bit for bit the same",
};
await writeFile(resultFile("text-finetuning.json"), `${JSON.stringify({ version, settings, table }, undefined, 1)}\n`);
console.table(table);

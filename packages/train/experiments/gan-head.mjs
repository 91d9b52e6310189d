// The adversarial loss on the decoder's head alone (the paper's phase 3) and on everything, from the same model (small-f32), for as many
// updates on the same pictures: PSNR, the Frechet distance to the originals in the features of a network that nothing was trained on,
// seconds per update, and how the losses went. Writes results/gan-head.json.
//
//   node experiments/gan-head.mjs --data photos/ --test held-out/ --network mobilenet_v2 [--out runs/gan-head] [--threads 2] [--steps 200]
//
// `--network` is a Keras model for TensorFlow.js, `--test` a folder of pictures, which are cut into squares of 128.
import { readdirSync, readFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { AutoencoderDC, loadAutoencoder } from "@dcae/core";
import { cropImage, decodeImage, imagesToTensor, psnr, tensorToImages } from "@dcae/core/image";
import { createEngine } from "@dcae/core/runtime";
import { optimizer } from "./networks.mjs";
import { resultFile } from "./options.mjs";
import { mean, rounded, train } from "./train-and-evaluate.mjs";

const { openSetMetrics } = await import("../../eval/dist/index.js");
const [TILE, SIZE, BATCH] = [128, 64, 8];
const text = (name, otherwise) => ({
  [name]: { type: "string", ...(otherwise === undefined ? {} : { default: otherwise }) },
});
const { values } = parseArgs({
  options: {
    ...text("data"),
    ...text("test"),
    ...text("network"),
    ...text("out", "runs/gan-head"),
    ...text("threads", String(availableParallelism())),
    ...text("steps", "200"),
    ...text("seeds", "0"),
  },
});
const { data: photographs, test, network, out } = values;
if (photographs === undefined || test === undefined || network === undefined)
  throw new Error("name --data, --test and --network");
const [threads, steps] = [Number(values.threads), Number(values.steps)];

const tiles = [];
for (const name of readdirSync(test).sort()) {
  const picture = await decodeImage(join(test, name));
  for (let top = 0; top + TILE <= picture.height; top += TILE) {
    for (let left = 0; left + TILE <= picture.width; left += TILE) {
      tiles.push(cropImage(picture, left, top, TILE, TILE));
    }
  }
}

const engine = await createEngine({ device: "cpu", threads, optimize: false });

async function judge(model) {
  const autoencoder = await loadAutoencoder(model, { device: "cpu", threads });
  const metrics = await openSetMetrics([`rfd:${network}`], { engine, size: TILE, originals: true });
  const [made, originals] = [metrics.collect(), metrics.collect()];
  const ratios = [];
  for (let start = 0; start < tiles.length; start += 16) {
    const batch = tiles.slice(start, start + 16);
    const results = tensorToImages(await autoencoder.decode(await autoencoder.encode(imagesToTensor(batch))));
    await made.add(results);
    await originals.add(batch);
    ratios.push(...batch.map((tile, i) => psnr(tile, results[i])));
  }
  const [distance] = Object.values(await metrics.compare(made, originals));
  await metrics.close();
  await autoencoder.dispose();
  return { psnr: rounded(mean(ratios)), distance: rounded(distance) };
}

const rows = [{ trains: "nothing yet", ...(await judge("small-f32")) }];
process.stderr.write(`${JSON.stringify(rows[0])}\n`);
const start = await AutoencoderDC.fromPretrained("small-f32");
const architecture = start.config;
await start.dispose();
const ARMS = {
  "the decoder's head": { kind: "phase", phase: 3 },
  everything: { kind: "names", names: ["*"] },
};
for (const seed of values.seeds.split(",").map(Number)) {
  for (const [arm, trains] of Object.entries(ARMS)) {
    const slow = { ...optimizer(1e-4, 10, 0), betas: [0.5, 0.9], clipNorm: 1 };
    const phase = {
      ...{ name: "gan", trains, size: SIZE, batch: BATCH, steps, optimizer: slow },
      gan: { weight: 0.5, optimizer: slow },
    };
    const settings = {
      ...{ model: architecture, init: "small-f32", seed },
      data: { sources: [{ kind: "folder", path: photographs }], crop: "random", workers: 1 },
      validation: { count: 1 },
    };
    const directory = join(out, `${arm.replace(/\W+/g, "-")}-${seed}`);
    const { model } = await train(engine, directory, phase, settings);
    const log = (await readFile(join(directory, "gan", "metrics.jsonl"), "utf8"))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const updates = log.filter(({ d_loss }) => d_loss !== undefined);
    const last = updates.slice(-Math.ceil(updates.length / 4));
    const row = {
      ...{ trains: arm, seed, ...(await judge(model)) },
      secondsPerUpdate: rounded(BATCH / mean(last.map(({ images_per_second }) => images_per_second))),
      discriminator: rounded(mean(last.map(({ d_loss }) => d_loss))),
      largestGradient: rounded(Math.max(...updates.map(({ gradient_norm }) => gradient_norm))),
    };
    rows.push(row);
    process.stderr.write(`${JSON.stringify(row)}\n`);
  }
}
await engine.dispose();

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
const used = { tiles: tiles.length, tile: TILE, size: SIZE, batch: BATCH, updates: steps, ganWeight: 0.5 };
await writeFile(resultFile("gan-head.json"), `${JSON.stringify({ version, settings: used, rows }, undefined, 1)}\n`);
console.table(rows);

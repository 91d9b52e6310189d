// Augmented diffusion training in miniature (DC-AE 1.5; diffusion.md section 8.6): a small USiT on structured latents, trained plainly
// and on drawn counts of channels, and how soon the second reaches the held-out loss that the first ends with. Needs what
// structured-latents.mjs trained. Writes results/augmented-diffusion.{json,svg}.
//
//   node experiments/augmented-diffusion.mjs [--out runs/miniature] [--threads 2] [--steps 1000]
import { existsSync, readFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { loadAutoencoder } from "@dcae/core";
import { createEngine } from "@dcae/core/runtime";
import { pictureFolder, writeLatents } from "@dcae/diffusion";
import { parseDiffusionConfig, trainDiffusion } from "../dist/diffusion/index.js";
import { parseOptions, resultFile } from "./options.mjs";
import { pictures } from "./pictures.mjs";
import { drawLines } from "./plot.mjs";
import { rounded } from "./train-and-evaluate.mjs";

const SEEDS = [0, 1];
const TRAININGS = {
  plain: null,
  augmented: { counts: [4, 8, 12, 16, 20, 24, 28, 32], draw: 2, always: "largest" },
};
/** Points of the plot. */
const PLACES = 10;
const { out, threads, steps } = parseOptions(1000);
const interval = Math.max(1, Math.round(steps / 80));

const model = join(out, "structured-drawn-0", "phase1", "model");
if (!existsSync(model)) throw new Error(`${model}: there is no model, run structured-latents.mjs first`);
const autoencoder = await loadAutoencoder(model, { device: "cpu", threads });
/** The folder of the latents of a set of pictures. */
async function latentsOf(set, more) {
  const directory = join(out, `latents-${set}`);
  const folder = await pictureFolder(await pictures(join(out, "pictures"), set));
  const { manifest } = await writeLatents({
    autoencoder,
    pictures: folder,
    directory,
    size: 64,
    source: model,
    ...more,
  });
  return { directory, scalingFactor: manifest.scalingFactor };
}
const training = await latentsOf("train", { mirrored: true, scalingFactor: "measure" });
const held = await latentsOf("held", { scalingFactor: training.scalingFactor });
await autoencoder.dispose();

const engine = await createEngine({ device: "cpu", threads });
const rows = [];
for (const seed of SEEDS) {
  for (const [name, channels] of Object.entries(TRAININGS)) {
    const directory = join(out, `diffusion-${name}-${seed}`);
    const config = parseDiffusionConfig(
      {
        name: "miniature",
        about: "one run of an experiment",
        // Both have the same parameters.
        denoiser: {
          arch: "uvit",
          model: {
            ...{ patch_size: 1, hidden_size: 128, depth: 4, num_heads: 4, adaptive_channel: true },
            ...{ train_scheduler: "SiTSampler", eval_scheduler: "ODE_heun2" },
          },
        },
        data: { path: training.directory, validation: held.directory },
        seed,
        batch: 64,
        steps,
        channels,
        optimizer: {
          schedule: {
            kind: "constant-warmup",
            lr: 1e-3,
            warmupLr: 0,
            warmupSteps: Math.max(1, Math.round(steps / 20)),
          },
          ...{ betas: [0.9, 0.99], weightDecay: 0.01, clipNorm: 1 },
        },
        ema: { decay: 0.99, warmupSteps: 100 },
        ...{
          evaluateOn: 240,
          samples: null,
          checkpointEvery: 250,
          keep: 1,
          evaluateEvery: interval,
          logEvery: interval,
        },
      },
      "experiment",
    );
    await trainDiffusion({ config, directory, engine });
    const lines = (await readFile(join(directory, "metrics.jsonl"), "utf8")).trim().split("\n");
    const losses = lines.map((line) => JSON.parse(line)).filter((row) => row.eval_loss !== undefined);
    rows.push({ training: name, seed, losses: losses.map(({ step, eval_loss }) => [step, rounded(eval_loss)]) });
    process.stderr.write(`${name}, seed ${seed}: held-out loss ${losses.at(-1).eval_loss} after ${steps} updates\n`);
  }
}
await engine.dispose();

const of = (name, seed) => rows.find((row) => row.training === name && row.seed === seed).losses;
/** What is to be shown: by seed, the share of the updates after which augmented training is where plain training ends. */
const shown = SEEDS.map((seed) => {
  const [, goal] = of("plain", seed).at(-1);
  const reached = of("augmented", seed).find(([, loss]) => loss <= goal)?.[0] ?? null;
  return {
    seed,
    plainEndsWith: goal,
    reachedAfter: reached,
    share: reached === null ? null : rounded(reached / steps),
  };
});
for (const { seed, plainEndsWith, reachedAfter } of shown) {
  process.stderr.write(
    `seed ${seed}: ${plainEndsWith}, which augmented training reaches after ${reachedAfter ?? "more than all"} updates\n`,
  );
}
const settings = {
  latents: "of 64x64 procedural scenes, f16 with 32 channels, 2400 to train on (half of them mirrored), 240 held out",
  network: "USiT, 4 blocks and the middle one, width 128",
  channels: TRAININGS.augmented,
  updates: steps,
  batch: 64,
  lr: 1e-3,
};
const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
await writeFile(
  resultFile("augmented-diffusion.json"),
  `${JSON.stringify({ version, settings, shown, rows }, undefined, 1)}\n`,
);
const line = (name) => ({
  name,
  points: rows
    .filter((row) => row.training === name)
    .flatMap(({ losses }) => {
      const every = Math.max(1, Math.floor((losses.length - 1) / PLACES));
      return losses.filter((_, i) => i > 0 && i % every === 0).map(([step, loss]) => [String(step), loss]);
    }),
});
await writeFile(
  resultFile("augmented-diffusion.svg"),
  drawLines([line("plain"), line("augmented")], {
    title: "Augmented diffusion training: held-out loss",
    x: "updates",
    y: "loss with all channels",
  }),
);

// Structured latents in miniature (DC-AE 1.5; training.md section 12): one network, trained at full width alone and with drawn
// widths, and its test PSNR at each of eight widths. Writes results/structured-latents.{json,svg}.
//
//   node experiments/structured-latents.mjs [--out runs/miniature] [--threads 2] [--steps 2000]
import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createEngine } from "@dcae/core/runtime";
import { adaptiveNetwork, optimizer } from "./networks.mjs";
import { parseOptions, resultFile } from "./options.mjs";
import { pictures } from "./pictures.mjs";
import { drawLines } from "./plot.mjs";
import { evaluate, rounded, train } from "./train-and-evaluate.mjs";

const SEEDS = [0, 1];
const COUNTS = [4, 8, 12, 16, 20, 24, 28, 32];
/** The largest keeps the full width good; the others are drawn. */
const TRAININGS = { full: null, drawn: { counts: COUNTS, draw: 2, always: "largest" } };
const { out, threads, steps } = parseOptions(2000);

await mkdir(out, { recursive: true });
const [training, test] = [
  await pictures(join(out, "pictures"), "train"),
  await pictures(join(out, "pictures"), "test"),
];
const engine = await createEngine({ device: "cpu", threads });
const rows = [];
for (const [name, channels] of Object.entries(TRAININGS)) {
  for (const seed of SEEDS) {
    const { model } = await train(
      engine,
      join(out, `structured-${name}-${seed}`),
      {
        name: "phase1",
        trains: { kind: "phase", phase: 1 },
        size: 64,
        batch: 8,
        steps,
        channels,
        optimizer: optimizer(1e-3, Math.max(1, Math.min(50, Math.floor(steps / 4))), 0.1),
      },
      {
        model: adaptiveNetwork(),
        seed,
        data: { sources: [{ kind: "folder", path: training }], workers: 1 },
        validation: { sources: [{ kind: "folder", path: test }], count: 2 },
      },
    );
    const testPsnr = {};
    for (const count of COUNTS) testPsnr[count] = rounded((await evaluate(model, test, 64, threads, count)).psnr);
    rows.push({ training: name, seed, testPsnr });
    process.stderr.write(
      `${name}, seed ${seed}: ${COUNTS.map((count) => `${count}: ${testPsnr[count]} dB`).join(", ")}\n`,
    );
  }
}
await engine.dispose();

const of = (name, seed) => rows.find((row) => row.training === name && row.seed === seed).testPsnr;
/** What is to be shown: by seed, whether PSNR grows with every width, and what full width loses against full width alone, in dB. */
const shown = SEEDS.map((seed) => ({
  seed,
  growsWithEveryWidth: COUNTS.every(
    (count, i) => i === 0 || of("drawn", seed)[count] > of("drawn", seed)[COUNTS[i - 1]],
  ),
  lostAtFullWidth: rounded(of("full", seed)[32] - of("drawn", seed)[32]),
}));
for (const { seed, growsWithEveryWidth, lostAtFullWidth } of shown) {
  process.stderr.write(
    `seed ${seed}: grows with every width: ${growsWithEveryWidth}; full width loses ${lostAtFullWidth} dB\n`,
  );
}
const settings = {
  pictures: "64x64 procedural scenes, 1200 to train on, 48 to test",
  network: "f16, 32 latent channels",
  channels: TRAININGS.drawn,
  updates: steps,
  batch: 8,
  lr: 1e-3,
};
const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
await writeFile(
  resultFile("structured-latents.json"),
  `${JSON.stringify({ version, settings, shown, rows }, undefined, 1)}\n`,
);
const line = (name, title) => ({
  name: title,
  points: rows
    .filter((row) => row.training === name)
    .flatMap((row) => COUNTS.map((count) => [String(count), row.testPsnr[count]])),
});
await writeFile(
  resultFile("structured-latents.svg"),
  drawLines([line("drawn", "drawn widths"), line("full", "full width alone")], {
    title: `Structured latents: test PSNR after ${steps} updates`,
    x: "latent channels that are kept, of 32",
    y: "PSNR (dB)",
  }),
);

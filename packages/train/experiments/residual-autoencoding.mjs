// Residual autoencoding in miniature (training.md section 11, first table): the same networks with and without the four
// parameter-free shortcuts, at growing compression and equal latent size. Writes results/residual-autoencoding.{json,svg}.
//
//   node experiments/residual-autoencoding.mjs [--out runs/miniature] [--threads 2] [--steps 400]
import { readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createEngine } from "@dcae/core/runtime";
import { network, optimizer } from "./networks.mjs";
import { parseOptions, resultFile } from "./options.mjs";
import { pictures } from "./pictures.mjs";
import { drawLines } from "./plot.mjs";
import { evaluate, mean, rounded, train } from "./train-and-evaluate.mjs";

const COMPRESSIONS = [8, 16, 32, 64];
const SEEDS = [0, 1];
const { out, threads, steps } = parseOptions();

await mkdir(out, { recursive: true });
const [training, test] = [
  await pictures(join(out, "pictures"), "train"),
  await pictures(join(out, "pictures"), "test"),
];
const engine = await createEngine({ device: "cpu", threads });
const rows = [];
for (const compression of COMPRESSIONS) {
  for (const shortcuts of [true, false]) {
    for (const seed of SEEDS) {
      const name = `f${compression}-${shortcuts ? "shortcuts" : "plain"}-${seed}`;
      const { model, losses } = await train(
        engine,
        join(out, name),
        {
          name: "phase1",
          trains: { kind: "phase", phase: 1 },
          size: 64,
          batch: 8,
          steps,
          optimizer: optimizer(1e-3, Math.min(50, steps / 4), 0.1),
        },
        {
          model: network(compression, shortcuts),
          seed,
          data: { sources: [{ kind: "folder", path: training }], workers: 1 },
          validation: { sources: [{ kind: "folder", path: test }], count: 2 },
        },
      );
      const last = (end) => rounded(mean(losses.slice(Math.max(0, end - 20), end)));
      const errors = await evaluate(model, test, 64, threads);
      const row = {
        compression,
        shortcuts,
        seed,
        trainL1: Object.fromEntries([steps / 4, steps / 2, steps].map((step) => [step, last(step)])),
        testL1: rounded(errors.l1),
        testPsnr: rounded(errors.psnr),
      };
      rows.push(row);
      process.stderr.write(`${name}: test L1 ${row.testL1}, PSNR ${row.testPsnr} dB\n`);
    }
  }
}
await engine.dispose();

const settings = {
  pictures: "64x64 procedural scenes, 1200 to train on, 48 to test",
  updates: steps,
  batch: 8,
  lr: 1e-3,
};
const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
await writeFile(
  resultFile("residual-autoencoding.json"),
  `${JSON.stringify({ version, settings, rows }, undefined, 1)}\n`,
);
const line = (shortcuts) => ({
  name: shortcuts ? "with shortcuts" : "without",
  points: rows.filter((row) => row.shortcuts === shortcuts).map((row) => [`f${row.compression}`, row.testPsnr]),
});
await writeFile(
  resultFile("residual-autoencoding.svg"),
  drawLines([line(true), line(false)], {
    title: `Residual autoencoding: test PSNR after ${steps} updates`,
    x: "compression, 512 latent numbers each",
    y: "PSNR (dB)",
  }),
);

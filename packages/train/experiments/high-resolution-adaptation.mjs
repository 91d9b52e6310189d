// Decoupled high-resolution adaptation in miniature (training.md section 11, second table): models trained at 64 x 64 are
// evaluated at 64 and at 256, then only their middle layers train at 256 (phase 2). The control trains the same layers for as
// many updates at 64 with as many pixels, so that resolution alone makes the difference. Goes on from the trainings of
// residual-autoencoding.mjs. Writes results/high-resolution-adaptation.{json,svg}.
//
//   node experiments/high-resolution-adaptation.mjs [--out runs/miniature] [--threads 2] [--steps 400]
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createEngine } from "@dcae/core/runtime";
import { network, optimizer } from "./networks.mjs";
import { parseOptions, resultFile } from "./options.mjs";
import { pictures } from "./pictures.mjs";
import { drawLines } from "./plot.mjs";
import { evaluate, rounded, train } from "./train-and-evaluate.mjs";

const COMPRESSIONS = [8, 32, 64];
const SEED = 0;
const [LOW, HIGH] = [64, 256];
const { out, threads, steps } = parseOptions();
const adaptation = Math.max(1, steps / 4);

const [training, test] = [
  await pictures(join(out, "pictures"), "train"),
  await pictures(join(out, "pictures"), "test"),
];
const engine = await createEngine({ device: "cpu", threads });
const rows = [];
for (const compression of COMPRESSIONS) {
  const data = {
    model: network(compression, true),
    seed: SEED,
    data: { sources: [{ kind: "folder", path: training }], workers: 1 },
    validation: { sources: [{ kind: "folder", path: test }], count: 1 },
  };
  const first = {
    name: "phase1",
    trains: { kind: "phase", phase: 1 },
    size: LOW,
    batch: 8,
    steps,
    optimizer: optimizer(1e-3, Math.min(50, steps / 4), 0.1),
  };
  const name = `f${compression}-shortcuts-${SEED}`;
  const { model: init } = await train(engine, join(out, name), first, data);
  // A quarter of the learning rate, as the published rates of phases 1 and 2 (6.4e-5 and 1.6e-5).
  const second = { trains: { kind: "phase", phase: 2 }, steps: adaptation, optimizer: optimizer(2.5e-4, 10, 0.001) };
  const models = {
    phase1: init,
    phase2: (
      await train(engine, join(out, name), { ...second, name: "phase2", size: HIGH, batch: 2 }, { ...data, init })
    ).model,
    control: (
      await train(engine, join(out, name), { ...second, name: "control", size: LOW, batch: 32 }, { ...data, init })
    ).model,
  };
  for (const [after, model] of Object.entries(models)) {
    const [low, high] = [await evaluate(model, test, LOW, threads), await evaluate(model, test, HIGH, threads)];
    const row = {
      compression,
      after,
      lowPsnr: rounded(low.psnr),
      highPsnr: rounded(high.psnr),
      lowL1: rounded(low.l1),
      highL1: rounded(high.l1),
    };
    rows.push(row);
    process.stderr.write(
      `f${compression} after ${after}: PSNR ${row.lowPsnr} dB at ${LOW}, ${row.highPsnr} dB at ${HIGH}\n`,
    );
  }
}
await engine.dispose();

const settings = {
  pictures: "procedural scenes, 1200 to train on, 48 to test",
  updates: steps,
  adaptation,
  low: LOW,
  high: HIGH,
};
const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
await writeFile(
  resultFile("high-resolution-adaptation.json"),
  `${JSON.stringify({ version, settings, rows }, undefined, 1)}\n`,
);
const line = (title, after) => ({
  name: title,
  points: rows.filter((row) => row.after === after).map((row) => [`f${row.compression}`, row.highPsnr - row.lowPsnr]),
});
await writeFile(
  resultFile("high-resolution-adaptation.svg"),
  drawLines([line("phase 1", "phase1"), line("+ phase 2 at 256", "phase2"), line("+ same at 64", "control")], {
    title: `PSNR at ${HIGH} less PSNR at ${LOW}`,
    x: "compression",
    y: "gap (dB)",
  }),
);

// Cost of a training step: a stack of residual blocks (widths 64, 128, 256, two per stage, 4 x 64 x 64, L1, AdamW), by part,
// and what recomputation does to memory. Runs against the built packages; each measurement is a process of its own.
// On a shared machine read the CPU time of the single-thread runs; wall time needs a quiet one.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { conv, resBlock } from "@dcae/core/blocks";
import { createProgram, createRandom, input, pixelShuffle, Tensor } from "@dcae/core/graph";
import { createEngine } from "@dcae/core/runtime";
import { completeWeights, createTrainingState, globalNorm, gradientStep, l1Loss, stepProgram } from "../dist/index.js";

const WIDTHS = [64, 128, 256];
const SHAPE = [4, 3, 64, 64];
const REPEATS = 8;

function objective(scope) {
  const [x, target] = [input("x", SHAPE), input("target", SHAPE)];
  let y = conv(scope.at("in"), x, { outChannels: WIDTHS[0] });
  WIDTHS.forEach((width, stage) => {
    if (stage > 0) y = conv(scope.at(`down.${stage}`), y, { outChannels: width, stride: 2 });
    for (let i = 0; i < 2; i++) y = resBlock(scope.at(`stages.${stage}.${i}`), y, { norm: "trms2d", act: "silu" });
  });
  const picture = pixelShuffle(conv(scope.at("out"), y, { outChannels: 48 }), 4);
  return { loss: l1Loss(target, picture), metrics: {} };
}

function programs(recompute) {
  const step = gradientStep(objective, () => true, { recompute });
  const full = stepProgram(step, { name: "bench", adamW: { schedule: { kind: "constant", lr: 1e-4 } } });
  const { loss } = step.metrics;
  const parts = {
    forward: createProgram("forward", { loss }),
    gradients: createProgram("gradients", { loss, norm: globalNorm(step.gradients) }),
    step: full,
  };
  return { full, parts };
}

async function measure(part, threads, recompute) {
  const { full, parts } = programs(recompute);
  const engine = await createEngine({ device: "cpu", threads });
  const weights = completeWeights([full], { source: "fresh", entries: new Map(), close: async () => {} }, 1);
  const state = await createTrainingState(engine, [full], weights);
  const loaded = await engine.load(parts[part], weights, { state });
  const pictures = Tensor.float32(createRandom(1, "bench").normal(new Float32Array(4 * 3 * 64 * 64)), SHAPE);
  const [wall, cpu] = [[], []];
  for (let i = 0; i < REPEATS; i++) {
    const [start, used] = [performance.now(), process.cpuUsage()];
    await loaded.run({ x: pictures, target: pictures });
    const { user, system } = process.cpuUsage(used);
    wall.push(performance.now() - start);
    cpu.push((user + system) / 1000);
  }
  await engine.dispose();
  return { wall: Math.min(...wall), cpu: Math.min(...cpu), peak: process.resourceUsage().maxRSS / 1024 };
}

const [part, threads, recompute] = process.argv.slice(2);
if (part !== undefined) {
  console.log(JSON.stringify(await measure(part, Number(threads), recompute === "true")));
} else {
  const cases = [
    ["forward", 1, false],
    ["gradients", 1, false],
    ["step", 1, false],
    ["step", 2, false],
    ["step", 2, true],
  ];
  for (const [name, count, again] of cases) {
    const args = [fileURLToPath(import.meta.url), name, String(count), String(again)];
    const { wall, cpu, peak } = JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" }));
    console.log(
      `${name.padEnd(10)} ${count} thread(s)${again ? ", recomputed" : ""}: ${wall.toFixed(0)} ms, ` +
        `${cpu.toFixed(0)} ms CPU, ${(wall / SHAPE[0]).toFixed(0)} ms per picture, peak ${peak.toFixed(0)} MiB`,
    );
  }
}

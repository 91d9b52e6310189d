// @ts-check
/**
 * Cost of training steps: as they are written against the forms for a CPU, in one run.
 *
 *   node bench/train-step.bench.mjs [--cases stack,small-f32,...] [--threads N] [--rounds 8] [--json FILE]
 *
 * "stack" are residual blocks of widths 64, 128 and 256, two of each, on 4 x 64 x 64, with L1 and AdamW; the others are phases of
 * recipes: small-f32 with its EViT blocks, small-f32-scenes with residual blocks alone. "plain" is `optimize: false` on an engine
 * with `blocked: false`. Each form lives in a process of its own, so that its peak memory is its own; the two take turns. On a
 * shared machine compare the CPU time of one thread.
 */
import { fork } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { conv, resBlock } from "@dcae/core/blocks";
import { createRandom, input, pixelShuffle, Tensor } from "@dcae/core/graph";
import { median } from "@dcae/core/internal";
import { resolveDcAeConfig } from "@dcae/core/models";
import { createEngine } from "@dcae/core/runtime";
import { trainingRecipe } from "../dist/index.js";
import { autoencoderStages, l1Loss } from "../dist/internal/index.js";
import { completeWeights, createTrainingState, gradientStep, stepProgram } from "../dist/step/index.js";

const FORMS = /** @type {const} */ (["plain", "optimized"]);
/** The peak is that of the first rounds, the times are those of the others. */
const WARM_UP = 2;

/** @type {import("../dist/step/index.js").TrainingObjective} */
function residualBlocks(scope) {
  const shape = [4, 3, 64, 64];
  const [x, target] = [input("x", shape), input("target", shape)];
  const widths = [64, 128, 256];
  let y = conv(scope.at("in"), x, { outChannels: 64 });
  widths.forEach((outChannels, stage) => {
    if (stage > 0) y = conv(scope.at(`down.${stage}`), y, { outChannels, stride: 2 });
    for (let i = 0; i < 2; i++) y = resBlock(scope.at(`stages.${stage}.${i}`), y, { norm: "trms2d", act: "silu" });
  });
  const picture = pixelShuffle(conv(scope.at("out"), y, { outChannels: 48 }), 4);
  return { loss: l1Loss(target, picture), metrics: {} };
}

/** A phase of a recipe. @param {string} recipe @param {number} phase @param {boolean} optimize */
function recipeStep(recipe, phase, optimize) {
  const config = trainingRecipe(recipe);
  const model = resolveDcAeConfig(/** @type {Record<string, unknown>} */ (config.model));
  const [stage] = autoencoderStages(/** @type {any} */ (config.phases[phase]), model, null, optimize);
  return /** @type {import("@dcae/core/graph").Program} */ (stage?.run);
}

/** @type {Record<string, (optimize: boolean) => import("@dcae/core/graph").Program>} */
const CASES = {
  stack: (optimize) =>
    stepProgram(
      gradientStep(residualBlocks, () => true, { optimize }),
      { name: "bench", kind: "adamw", schedule: { kind: "constant", lr: 1e-4 } },
    ),
  "small-f32": (optimize) => recipeStep("small-f32", 0, optimize),
  "small-f32-phase2": (optimize) => recipeStep("small-f32", 2, optimize),
  "small-f32-phase3": (optimize) => recipeStep("small-f32", 3, optimize),
  "small-f32-scenes": (optimize) => recipeStep("small-f32-scenes", 0, optimize),
};

/** High-water mark of resident memory in bytes (Linux), or the current one elsewhere. */
function peakMemory() {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) * 1024;
  } catch {
    return process.memoryUsage().rss;
  }
}

/** The process of one form: loads, then makes one update per message. */
async function child() {
  const { name, form, threads } = JSON.parse(process.env.DCAE_BENCH ?? "");
  const program = /** @type {NonNullable<typeof CASES[string]>} */ (CASES[name])(form === "optimized");
  const engine = await createEngine({
    device: "cpu",
    threads,
    form: { kind: "stateful", blocked: form === "optimized" },
  });
  const weights = completeWeights([program], { source: "fresh", entries: new Map(), close: async () => {} }, 1);
  const state = await createTrainingState(engine, [program], weights);
  const loaded = await engine.load(program, weights, { state });
  const inputs = Object.fromEntries(
    [...program.inputs].map(([key, { shape }]) => {
      const sizes = /** @type {number[]} */ (shape);
      const values = new Float32Array(sizes.reduce((a, b) => a * b, 1));
      return [key, Tensor.float32(createRandom(1, "bench").uniform(values, -1, 1), sizes)];
    }),
  );
  const [first] = Object.values(inputs);
  process.on("message", async () => {
    const [cpu, wall] = [process.cpuUsage(), performance.now()];
    const { loss } = await loaded.run(inputs);
    const { user, system } = process.cpuUsage(cpu);
    const wallMs = performance.now() - wall;
    process.send?.({ wallMs, cpuMs: (user + system) / 1000, peakBytes: peakMemory(), loss: Number(loss?.at()) });
  });
  process.send?.({ images: first?.shape[0] });
}

/** @param {import("node:child_process").ChildProcess} target @returns {Promise<any>} */
const answer = (target) =>
  new Promise((resolve, reject) => {
    target.once("message", resolve);
    target.once("exit", (code) => reject(new Error(`a benchmark process ended with exit code ${code}`)));
  });

/** @param {string} name @param {number} threads @param {number} rounds */
async function measure(name, threads, rounds) {
  const children = FORMS.map((form) =>
    fork(fileURLToPath(import.meta.url), {
      env: { ...process.env, DCAE_BENCH: JSON.stringify({ name, form, threads }) },
    }),
  );
  const { images } = (await Promise.all(children.map(answer)))[0];
  const runs = /** @type {any[][]} */ (FORMS.map(() => []));
  for (let round = 0; round < rounds + WARM_UP; round++) {
    for (const [i, target] of children.entries()) {
      target.send("run");
      runs[i]?.push(await answer(target));
    }
  }
  for (const target of children) {
    target.removeAllListeners("exit");
    target.kill();
  }
  return FORMS.map((form, i) => {
    const timed = (runs[i] ?? []).slice(WARM_UP);
    return {
      case: name,
      form,
      threads,
      images,
      msPerImage: median(timed.map(({ wallMs }) => wallMs)) / images,
      cpuMsPerImage: Math.min(...timed.map(({ cpuMs }) => cpuMs)) / images,
      peakMiB: Math.max(...timed.map(({ peakBytes }) => peakBytes)) / 2 ** 20,
      loss: timed.at(-1)?.loss,
    };
  });
}

async function main() {
  const { values } = parseArgs({
    options: {
      cases: { type: "string", default: "stack,small-f32,small-f32-scenes" },
      threads: { type: "string", default: String(availableParallelism()) },
      rounds: { type: "string", default: "8" },
      json: { type: "string" },
    },
  });
  const results = [];
  for (const name of values.cases.split(",")) {
    if (CASES[name] === undefined) throw new Error(`no case "${name}": ${Object.keys(CASES).join(", ")}`);
    for (const threads of values.threads.split(",").map(Number)) {
      const pair = await measure(name, threads, Number(values.rounds));
      results.push(...pair);
      const [plain, optimized] = /** @type {[any, any]} */ (pair);
      for (const { form, msPerImage, cpuMsPerImage, peakMiB } of pair) {
        const ratio = form === "plain" ? "" : `, ${(msPerImage / plain.msPerImage).toFixed(2)} of its time`;
        console.log(
          `${name}, ${threads} thread(s), ${form}: ${msPerImage.toFixed(1)} ms per image (${cpuMsPerImage.toFixed(1)} ms CPU), ` +
            `peak ${peakMiB.toFixed(0)} MiB${ratio}`,
        );
      }
      // Rounding apart, both forms make the same updates.
      const difference = Math.abs(optimized.loss - plain.loss) / plain.loss;
      if (!(difference < 1e-2)) throw new Error(`${name}: losses are ${plain.loss} and ${optimized.loss}`);
    }
  }
  if (values.json !== undefined) {
    const machine = { cpu: cpus()[0]?.model, cores: availableParallelism(), node: process.version };
    writeFileSync(values.json, `${JSON.stringify({ machine, results }, null, 2)}\n`);
  }
}

await (process.env.DCAE_BENCH === undefined ? main() : child());

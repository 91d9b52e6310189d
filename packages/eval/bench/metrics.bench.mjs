// Cost of the evaluation's parts: networks per picture, sums of features, the Frechet distance at full size, and the two ways
// to blur for SSIM. Weights are random, which doesn't matter to speed. Runs against the built packages, on the CPU; best of
// a few runs.

import { Tensor } from "@dcae/core";
import {
  constant,
  conv2d,
  countMacs,
  createProgram,
  createRandom,
  input,
  matmul,
  pad,
  reshape,
  transpose,
} from "@dcae/core/graph";
import { createEngine } from "@dcae/core/runtime";
import { frechetDistance } from "../dist/index.js";
import { createFeatureAccumulator, inceptionProgram, lpipsProgram, ssimProgram } from "../dist/internal/index.js";

const BATCH = 4;
const SIDE = 512;
const REPEATS = 5;
const engine = await createEngine({ device: "cpu" });

function randomWeights(program) {
  const entries = new Map();
  for (const [name, { shape }] of program.parameters) {
    const data = new Float32Array(shape.reduce((size, dim) => size * dim, 1));
    const fanIn = shape.slice(1).reduce((size, dim) => size * dim, 1);
    createRandom(0, name).uniform(data, shape.length > 1 ? -Math.sqrt(6 / fanIn) : 0.5, Math.sqrt(6 / fanIn));
    entries.set(name, { name, dtype: "float32", shape, read: async () => Tensor.float32(data, shape) });
  }
  return { source: "random", entries, close: async () => {} };
}

async function time(label, program, inputs, perRun) {
  const loaded = await engine.load(program, randomWeights(program));
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < REPEATS; i++) {
    const started = performance.now();
    await loaded.run(inputs);
    best = Math.min(best, performance.now() - started);
  }
  await loaded.dispose();
  const macs = countMacs(program) / perRun;
  const rate =
    macs === 0 ? "" : `, ${(macs / 1e9).toFixed(2)} GMAC, ${((2 * macs * perRun) / best / 1e6).toFixed(0)} GFLOP/s`;
  console.log(`${label.padEnd(44)} ${(best / perRun).toFixed(1).padStart(8)} ms${rate}`);
  return best;
}

const bytes = (seed) => {
  const data = new Float32Array(BATCH * SIDE * SIDE * 3);
  createRandom(seed).uniform(data, 0, 256);
  return new Tensor("uint8", Uint8Array.from(data), [BATCH, SIDE, SIDE, 3]);
};
const [a, b] = [bytes(1), bytes(2)];
const size = { count: BATCH, height: SIDE, width: SIDE };
for (const pipeline of ["pytorch-fid", "tf1"]) {
  const program = inceptionProgram({ ...size, pipeline, outputs: ["pool"] });
  await time(`Inception, ${SIDE}x${SIDE} (${pipeline})`, program, { pictures: a }, BATCH);
}
for (const trunk of ["alex", "vgg"]) {
  const program = lpipsProgram({ ...size, trunk, norm: "official-evaluation" });
  await time(`LPIPS (${trunk}), ${SIDE}x${SIDE}`, program, { a, b }, BATCH);
}
await time(`SSIM, ${SIDE}x${SIDE}`, ssimProgram(BATCH, SIDE, SIDE), { a, b }, BATCH);

// The 15 planes that SSIM blurs per picture, by banded matrices and by convolutions of one channel.
const planes = [15, SIDE, SIDE];
const x = Tensor.float32(createRandom(3).uniform(new Float32Array(15 * SIDE * SIDE), 0, 1), planes);
const square = constant(Tensor.full([SIDE, SIDE], 1 / SIDE));
const kernel = (shape) => constant(Tensor.full(shape, 1 / 11));
const banded = matmul(matmul(square, input("x", planes)), transpose(square));
const single = reshape(input("x", planes), [15, 1, SIDE, SIDE]);
const padded = pad(single, { 2: [5, 5], 3: [5, 5] }, "reflect");
const convolved = conv2d(conv2d(padded, kernel([1, 1, 11, 1])), kernel([1, 1, 1, 11]));
const products = await time("  blur by matrix products", createProgram("a", { y: banded }), { x }, 1);
const convolutions = await time("  blur by convolutions", createProgram("b", { y: convolved }), { x }, 1);
console.log(`  ratio ${(convolutions / products).toFixed(2)}`);
await engine.dispose();

const D = 2048;
const features = (seed, count) => {
  const data = new Float32Array(count * D);
  createRandom(seed).normal(data);
  return data.map((value, i) => Math.abs(value) * Math.exp(-(i % D) / 600));
};
const statistics = [1, 2].map((seed) => {
  const accumulator = createFeatureAccumulator(D);
  for (let i = 0; i < 80; i++) {
    const batch = features(100 * seed + i, 32);
    const started = performance.now();
    accumulator.add(batch);
    if (i === 79)
      console.log(
        `${"sums of 2048 features, per picture".padEnd(44)} ${((performance.now() - started) / 32).toFixed(1).padStart(8)} ms`,
      );
  }
  return accumulator.statistics(`set ${seed}`);
});
const started = performance.now();
const { distance } = frechetDistance(...statistics);
console.log(
  `${"Frechet distance, 2048 dimensions".padEnd(44)} ${(performance.now() - started).toFixed(0).padStart(8)} ms (${distance.toFixed(4)})`,
);

// @ts-check
/**
 * The time of 3x3 convolutions in training, forward and both gradients, in each of their forms, and the cost model that follows:
 * prints the table of src/step/winograd-training-cost.ts.
 *
 *   node bench/measure-convolutions.mjs [--rounds 8] [--json FILE] [--from FILE]
 *
 * CPU time of one thread, the smallest of all rounds, the forms taking turns. `--from` fits a file that `--json` wrote before.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { conv2d, createProgram, createRandom, input, mul, parameter, reduceSum, Tensor } from "@dcae/core/graph";
import { createEngine } from "@dcae/core/runtime";
import { formTerms, optimizeForward, winogradForm } from "../dist/internal/index.js";
import { gradients } from "../dist/step/index.js";

/** @typedef {import("@dcae/core/graph").ConvSize} ConvSize */
/** @typedef {import("../dist/internal/index.js").FormName} FormName */
/** @typedef {{ size: ConvSize, ms: Partial<Record<FormName, number>> }} Row */

const PAIRS = [
  [16, 16],
  [16, 32],
  [32, 16],
  [32, 32],
  [32, 64],
  [64, 32],
  [64, 64],
  [64, 128],
  [128, 64],
  [128, 128],
  [128, 256],
  [128, 512],
  [256, 256],
  [32, 128],
  [128, 32],
  [512, 512],
];
/** From what would be the overhead of nodes alone to what takes too long to repeat. */
const [LEAST_MACS, MOST_MACS] = [2e6, 6.5e8];

/** @returns {ConvSize[]} */
function sizes() {
  return PAIRS.flatMap(([inChannels, outChannels]) =>
    [2, 4, 8, 16, 32, 64].flatMap((side) =>
      [1, 4, 16].map((batch) => ({ batch, inChannels, outChannels, outHeight: side, outWidth: side })),
    ),
  ).filter(({ batch, inChannels, outChannels, outHeight }) => {
    const macs = 9 * batch * inChannels * outChannels * outHeight ** 2;
    return macs >= LEAST_MACS && macs <= MOST_MACS;
  });
}

const weightValue = (/** @type {number[]} */ shape) =>
  parameter({ name: "weight", shape, dtype: "float32", init: { kind: "zeros" }, trainable: true });
const random = (/** @type {number} */ seed, /** @type {number[]} */ shape) =>
  Tensor.float32(createRandom(seed, 1).normal(new Float32Array(shape.reduce((a, b) => a * b, 1))), shape);

/** @param {ConvSize} size @param {2 | 4 | undefined} tile */
function program({ batch, inChannels, outChannels, outHeight, outWidth }, tile) {
  const weight = weightValue([outChannels, inChannels, 3, 3]);
  const x = input("x", [batch, inChannels, outHeight, outWidth]);
  const dy = input("dy", [batch, outChannels, outHeight, outWidth]);
  const [y] = optimizeForward([conv2d(x, weight, { padding: 1 })], { chooseWinograd: () => tile });
  const [dx, dw] = gradients(reduceSum(mul(y, dy)), [x, weight], {
    forms: { depthwise: "convolution", input: "convolutions", compositions: "whole" },
  });
  return createProgram("convolution", { y, dx, dw });
}

/** @param {import("@dcae/core/runtime").OnnxEngine} engine @param {ConvSize} size @param {number} rounds @returns {Promise<Row>} */
async function measure(engine, size, rounds) {
  const { batch, inChannels, outChannels, outHeight, outWidth } = size;
  const weight = random(1, [outChannels, inChannels, 3, 3]);
  const entries = new Map([
    ["weight", { name: "weight", dtype: weight.dtype, shape: weight.shape, read: async () => weight }],
  ]);
  const weights = { source: "random weights", entries, close: async () => {} };
  const state = await engine.createState(weights);
  const inputs = {
    x: random(2, [batch, inChannels, outHeight, outWidth]),
    dy: random(3, [batch, outChannels, outHeight, outWidth]),
  };
  /** @type {[FormName, 2 | 4 | undefined][]} */
  const forms = [
    ["direct", undefined],
    [winogradForm(size, 2), 2],
    ...(outHeight < 4 ? [] : [/** @type {[FormName, 4]} */ ([winogradForm(size, 4), 4])]),
  ];
  const loaded = await Promise.all(forms.map(([, tile]) => engine.load(program(size, tile), weights, { state })));
  const best = forms.map(() => Number.POSITIVE_INFINITY);
  for (let round = 0; round < rounds; round++) {
    for (const [i, form] of loaded.entries()) {
      const before = process.cpuUsage();
      await form.run(inputs);
      const { user, system } = process.cpuUsage(before);
      // The first rounds lay out memory.
      if (round >= 2) best[i] = Math.min(/** @type {number} */ (best[i]), (user + system) / 1000);
    }
  }
  await Promise.all(loaded.map((form) => form.dispose()));
  await state.dispose();
  return { size, ms: Object.fromEntries(forms.map(([name], i) => [name, best[i]])) };
}

/** Solves the normal equations by Gaussian elimination. @param {number[][]} a @param {number[]} b */
function leastSquares(a, b) {
  const n = a[0].length;
  const m = Array.from({ length: n }, (_, i) => [
    ...Array.from({ length: n }, (_, j) => a.reduce((sum, row) => sum + row[i] * row[j], 0)),
    a.reduce((sum, row, k) => sum + row[i] * b[k], 0),
  ]);
  for (let i = 0; i < n; i++) {
    const pivot = m.slice(i).reduce((best, row, k) => (Math.abs(row[i]) > Math.abs(m[best][i]) ? k + i : best), i);
    [m[i], m[pivot]] = [m[pivot], m[i]];
    for (let j = 0; j < n; j++) if (j !== i) m[j] = m[j].map((value, k) => value - (m[i][k] * m[j][i]) / m[i][i]);
  }
  return m.map((row, i) => row[n] / row[i]);
}

/** Non-negative costs with the least relative errors. @param {readonly Row[]} rows @param {FormName} form */
function fitCosts(rows, form) {
  const measured = rows.flatMap(({ size, ms }) =>
    ms[form] === undefined ? [] : [{ terms: formTerms(size, form), ns: ms[form] * 1e6 }],
  );
  if (measured.length === 0) return undefined;
  let keys = /** @type {(keyof import("../dist/internal/index.js").FormCosts)[]} */ ([
    "mac",
    "input",
    "output",
    "weight",
    "fixed",
  ]);
  for (;;) {
    const costs = leastSquares(
      measured.map(({ terms, ns }) => keys.map((key) => terms[key] / ns)),
      measured.map(() => 1),
    );
    if (costs.every((cost) => cost >= 0)) return Object.fromEntries(keys.map((key, i) => [key, costs[i]]));
    keys = keys.filter((_, i) => costs[i] >= 0);
  }
}

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "8" }, json: { type: "string" }, from: { type: "string" } },
});
/** @type {Row[]} */
let rows = [];
if (values.from !== undefined) rows = JSON.parse(readFileSync(values.from, "utf8"));
else {
  const engine = await createEngine({ device: "cpu", threads: 1 });
  for (const size of sizes()) {
    const row = await measure(engine, size, Number(values.rounds));
    rows.push(row);
    const { batch, inChannels, outChannels, outHeight } = size;
    const times = Object.entries(row.ms).map(([name, ms]) => `${name} ${ms.toFixed(2)}`);
    console.log(`${batch} x ${inChannels} -> ${outChannels} at ${outHeight}^2: ${times.join(", ")} ms`);
  }
  await engine.dispose();
}
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(rows, null, 1));

const names = /** @type {FormName[]} */ ([
  "direct",
  "tiles of 2",
  "tiles of 4",
  "small tiles of 2",
  "small tiles of 4",
]);
const table = Object.fromEntries(names.map((name) => [name, fitCosts(rows, name)]));
for (const [name, costs] of Object.entries(table)) {
  const terms = ["mac", "input", "output", "weight", "fixed"].map(
    (key) => `${key}: ${Number((costs?.[key] ?? 0).toPrecision(3))}`,
  );
  console.log(`  "${name}": { ${terms.join(", ")} },`);
}
/** Time of the predicted best form relative to the best. */
const losses = rows.map(({ size, ms }) => {
  const predicted = /** @type {FormName[]} */ (Object.keys(ms)).map((name) => {
    const terms = formTerms(size, name);
    return { name, ns: Object.entries(terms).reduce((sum, [key, term]) => sum + term * (table[name]?.[key] ?? 0), 0) };
  });
  const chosen = predicted.reduce((a, b) => (b.ns < a.ns ? b : a)).name;
  const best = Math.min(...Object.values(ms));
  return { chosen: (ms[chosen] ?? 0) / best, direct: (ms.direct ?? 0) / best };
});
const mean = (/** @type {number[]} */ list) => list.reduce((a, b) => a + b, 0) / list.length;
console.log(
  `against the best form: the model's ${mean(losses.map(({ chosen }) => chosen)).toFixed(3)}, direct ${mean(losses.map(({ direct }) => direct)).toFixed(3)}`,
);

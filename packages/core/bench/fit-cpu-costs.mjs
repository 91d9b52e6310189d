// @ts-check
/**
 * `npm run bench -- fit`: measures 3x3 convolutions in their three forms and fits the cost model of src/graph/rewrite/cpu-costs.ts.
 *
 * Two convolutions in a row, C to O and back, as in a residual block: what happens where a stage begins and ends (transposes)
 * is shared by several of them in a model, too.
 *
 *   node bench/fit-cpu-costs.mjs [--json FILE]
 *
 * Processor time on one thread, the forms taking turns, medians: this holds on a busy machine too. Prints the measurements, and the row of
 * that file's table for this machine's instructions. Half an hour on a quiet machine; the package must be built.
 */
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { conv2d, createProgram, input, optimize, parameter, relu } from "../dist/graph/index.js";
import { createEngine, Tensor } from "../dist/index.js";
import { median } from "../dist/internal/index.js";
import { cpuFacts } from "../dist/runtime/index.js";

/** [in channels, out channels] */
const WIDTHS = [
  [32, 32],
  [64, 64],
  [128, 128],
  [256, 256],
  [512, 512],
  [1024, 1024],
  [2048, 2048],
  [128, 256],
  [512, 128],
  [512, 2048],
  [128, 12],
  [3, 128],
];
const SIDES = [8, 16, 32, 64, 128, 256];
const MOST_MACS = 5e9;
const MOST_WEIGHTS = 5e6;

/** @param {number} size */
function values(size) {
  let state = 1;
  return new Float32Array(size).map(() => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
  });
}

/** @param {number} inChannels @param {number} outChannels @param {number} side */
async function measure(inChannels, outChannels, side) {
  const x = input("x", [1, inChannels, side, side]);
  const sizes = /** @type {const} */ ([
    ["w", [outChannels, inChannels, 3, 3]],
    ["v", [inChannels, outChannels, 3, 3]],
  ]);
  const [w, v] = sizes.map(([name, shape]) =>
    parameter({ name, shape, dtype: "float32", init: { kind: "constant", value: 0 }, trainable: true }),
  );
  const hidden = relu(conv2d(x, /** @type {any} */ (w), { padding: 1 }));
  const direct = createProgram("direct", { y: conv2d(hidden, /** @type {any} */ (v), { padding: 1 }) });
  const tensor = values(9 * inChannels * outChannels);
  const entries = sizes.map(([name, shape]) => {
    const read = async () => Tensor.float32(tensor, shape);
    return /** @type {const} */ ([name, { name, shape, dtype: /** @type {const} */ ("float32"), read }]);
  });
  const weights = { source: "random", entries: new Map(entries), close: async () => {} };
  const picture = Tensor.float32(values(inChannels * side * side), [1, inChannels, side, side]);
  const forms = {
    direct,
    four: optimize(direct, { chooseWinograd: () => 4 }),
    six: optimize(direct, { chooseWinograd: () => 6 }),
  };
  // Each form as it runs in the library: rewritten programs have the memory arena. What is rewritten already stays.
  const runs = [];
  for (const [form, program] of Object.entries(forms)) {
    const engine = await createEngine({ device: "cpu", threads: 1, optimize: form !== "direct" });
    const start = process.cpuUsage();
    const loaded = await engine.load(program, weights);
    const { user, system } = process.cpuUsage(start);
    runs.push({ form, engine, loaded, loading: (user + system) * 1000, times: /** @type {number[]} */ ([]) });
  }
  const rounds = Math.max(5, Math.min(25, Math.round(5e9 / (9 * inChannels * outChannels * side * side))));
  for (let round = -1; round < rounds; round++) {
    for (const { loaded, times } of runs) {
      const start = process.cpuUsage();
      await loaded.run({ x: picture });
      const { user, system } = process.cpuUsage(start);
      if (round >= 0) times.push((user + system) * 1000);
    }
  }
  for (const { engine } of runs) await engine.dispose();
  const [d, four, six] = runs.map(({ times }) => median(times) / 2);
  const [plain = 0, , rewritten = 0] = runs.map(({ loading }) => loading);
  const transformedBytes = 2 * 4 * 64 * inChannels * outChannels;
  return {
    inChannels,
    outChannels,
    side,
    direct: /** @type {number} */ (d),
    four: /** @type {number} */ (four),
    six: /** @type {number} */ (six),
    transformedBytes,
    loading: (rewritten - plain) / transformedBytes,
  };
}

/** Least squares of relative errors: rows [features, time]. @param {(readonly [number[], number])[]} rows */
function leastSquares(rows) {
  const count = rows[0]?.[0].length ?? 0;
  const matrix = Array.from({ length: count }, () => /** @type {number[]} */ (Array(count + 1).fill(0)));
  for (const [features, time] of rows) {
    const scaled = features.map((value) => value / time);
    scaled.forEach((a, i) => {
      scaled.forEach((b, j) => {
        matrix[i][j] += a * b;
      });
      matrix[i][count] += a;
    });
  }
  // Gauss-Jordan; the normal equations of four features are well conditioned enough.
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < count; j++) {
      if (i === j) continue;
      const factor = matrix[j][i] / matrix[i][i];
      for (let k = 0; k <= count; k++) matrix[j][k] -= factor * matrix[i][k];
    }
  }
  return matrix.map((row, i) => row[count] / row[i]);
}

const { values: args } = parseArgs({ options: { json: { type: "string" } } });
const measured = [];
console.log("channels        side  direct ms   F(4x4)   F(6x6)  gain");
for (const [inChannels, outChannels] of WIDTHS) {
  for (const side of SIDES) {
    const macs = 9 * inChannels * outChannels * side * side;
    if (macs > MOST_MACS || macs < 1e7 || inChannels * outChannels > MOST_WEIGHTS) continue;
    const row = await measure(inChannels, outChannels, side);
    measured.push(row);
    const ms = (/** @type {number} */ ns) => (ns / 1e6).toFixed(2).padStart(8);
    const gain = (row.direct / Math.min(row.four, row.six)).toFixed(2);
    console.log(
      `${inChannels} -> ${outChannels}`.padEnd(15),
      String(side).padStart(4),
      ` ${ms(row.direct)}`,
      ms(row.four),
      ms(row.six),
      ` ${gain}`,
    );
  }
}
// The mean of both directions, C to O and O to C.
const direct = leastSquares(
  measured.map(({ inChannels: c, outChannels: o, side, direct: time }) => [
    [9 * c * o * side ** 2, ((c + o) / 2) * side ** 2],
    time,
  ]),
);
const winograd = leastSquares(
  measured.flatMap(({ inChannels: c, outChannels: o, side, four, six }) =>
    [
      [4, four],
      [6, six],
    ].map(([tile, time]) => {
      const [tiles, points] = [Math.ceil(side / tile) ** 2, (tile + 2) ** 2];
      return /** @type {const} */ ([[points * c * o * tiles, points * (c + o) * tiles, points * c * o], time]);
    }),
  ),
);
// Of small weights, loading takes what it takes for any.
const loading = median(measured.filter((row) => row.transformedBytes >= 32e6).map((row) => row.loading));
const names = ["directMac", "directInput", "productMac", "point", "weight", "loading"];
const costs = Object.fromEntries(
  [...direct, ...winograd, loading].map((value, i) => [names[i], Number(value.toPrecision(3))]),
);
const { set, int8 } = await cpuFacts();
console.log(`\n${cpus()[0]?.model}${int8.length > 0 ? ` (${int8.join(", ")})` : ""}:\n${set}:`, costs);
if (args.json) writeFileSync(args.json, `${JSON.stringify({ measured, costs }, undefined, 2)}\n`);

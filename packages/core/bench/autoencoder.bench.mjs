// @ts-check
/**
 * Encoding and decoding: the plain graph against the rewritten one, in one run.
 *
 *   node bench/autoencoder.bench.mjs [--models NAME,...] [--sizes 256,...] [--parts encode,decode] [--rounds 5]
 *                                    [--threads N] [--checkpoint FOLDER] [--json FILE]
 *
 * Each form lives in a process of its own, so that its peak memory is its own; the two take turns, so that whatever else
 * happens on the machine happens to both. Without a checkpoint weights are random, which changes no time. GFLOP/s count the
 * work of the direct convolutions (2 per multiply-accumulate), whatever was computed instead.
 */
import { fork } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { openSafetensorsFile } from "../dist/checkpoint/index.js";
import { countMacs } from "../dist/graph/index.js";
import { createEngine, getPreset, Tensor } from "../dist/index.js";
import { quantile } from "../dist/internal/index.js";
import { buildDecodeProgram, buildEncodeProgram } from "../dist/models/index.js";

const FORMS = /** @type {const} */ (["plain", "optimized"]);

/** @param {string} name @param {string} part @param {number} size */
function program(name, part, size) {
  const preset = getPreset(name);
  if (preset.kind !== "dc-ae") throw new Error(`${name} is no DC-AE`);
  const { config } = preset;
  if (part === "encode") return buildEncodeProgram({ kind: "dc-ae", config }, [1, config.inChannels, size, size]);
  const compression = Number(/f(\d+)/.exec(name)?.[1]);
  return buildDecodeProgram({ kind: "dc-ae", config }, [
    1,
    config.latentChannels,
    size / compression,
    size / compression,
  ]);
}

/** Cheap pseudo-random weights, scaled by fan-in so that values stay finite. @param {ReturnType<typeof program>} graph */
function randomWeights(graph) {
  const entries = [...graph.parameters.values()].map(({ name, shape, dtype }) => {
    const read = async () => {
      const scale = shape.length > 1 ? 1 / Math.sqrt(shape.slice(1).reduce((a, b) => a * b, 1)) : 1;
      const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
      let state = 12345;
      for (let i = 0; i < data.length; i++) {
        state = (Math.imul(state, 1664525) + 1013904223) | 0;
        data[i] = (shape.length > 1 ? state / 2 ** 31 : 1) * scale;
      }
      return Tensor.float32(data, shape).cast(dtype);
    };
    return /** @type {const} */ ([name, { name, shape, dtype, read }]);
  });
  return { source: "random weights", entries: new Map(entries), close: async () => {} };
}

/** High-water mark of resident memory in bytes (Linux), or the current one elsewhere. */
function peakMemory() {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) * 1024;
  } catch {
    return process.memoryUsage().rss;
  }
}

/** The process of one form: loads, then runs once per message. */
async function child() {
  const { name, part, size, threads, checkpoint, form } = JSON.parse(process.env.DCAE_BENCH ?? "");
  const graph = program(name, part, size);
  const weights = checkpoint ? await openSafetensorsFile(`${checkpoint}/model.safetensors`) : randomWeights(graph);
  const engine = await createEngine({ device: "cpu", threads, optimize: form === "optimized" });
  const started = performance.now();
  const loaded = await engine.load(graph, weights);
  const loadMs = performance.now() - started;
  const [[inputName, { shape }]] = [...graph.inputs];
  const values = new Float32Array(/** @type {number[]} */ (shape).reduce((a, b) => a * b, 1)).map((_, i) =>
    Math.sin(i),
  );
  const x = Tensor.float32(values, /** @type {number[]} */ (shape));
  process.on("message", async () => {
    const [cpu, wall] = [process.cpuUsage(), performance.now()];
    await loaded.run({ [inputName]: x });
    const { user, system } = process.cpuUsage(cpu);
    process.send?.({
      wallMs: performance.now() - wall,
      cpuMs: (user + system) / 1000,
      peakBytes: peakMemory(),
      loadMs,
    });
  });
  process.send?.({ ready: true });
}

/** @param {import("node:child_process").ChildProcess} target @returns {Promise<any>} */
const answer = (target) =>
  new Promise((resolve, reject) => {
    target.once("message", resolve);
    target.once("exit", (code) => reject(new Error(`a benchmark process ended with exit code ${code}`)));
  });

/** @param {number[]} values */
function summary(values) {
  const [low, median, high] = [0.25, 0.5, 0.75].map((share) => quantile(values, share));
  return { median, low, high };
}

async function main() {
  const { values } = parseArgs({
    options: {
      models: { type: "string", default: "dc-ae-f32c32-in-1.0" },
      sizes: { type: "string", default: "256" },
      parts: { type: "string", default: "encode,decode" },
      rounds: { type: "string", default: "5" },
      threads: { type: "string", default: String(availableParallelism()) },
      checkpoint: { type: "string" },
      json: { type: "string" },
    },
  });
  const results = [];
  for (const name of values.models.split(",")) {
    for (const size of values.sizes.split(",").map(Number)) {
      for (const part of values.parts.split(",")) {
        const gflop = (2 * countMacs(program(name, part, size))) / 1e9;
        const children = [];
        for (const form of FORMS) {
          const job = { name, part, size, threads: Number(values.threads), checkpoint: values.checkpoint, form };
          const env = { ...process.env, DCAE_BENCH: JSON.stringify(job) };
          const started = fork(fileURLToPath(import.meta.url), { env });
          await answer(started);
          children.push({ form, process: started, runs: /** @type {any[]} */ ([]) });
        }
        // The first run of each warms up.
        for (let round = 0; round <= Number(values.rounds); round++) {
          for (const entry of children) {
            const result = answer(entry.process);
            entry.process.send("run");
            const run = await result;
            if (round > 0) entry.runs.push(run);
          }
        }
        for (const entry of children) {
          entry.process.removeAllListeners("exit");
          entry.process.kill();
        }
        const median = (/** @type {number} */ i, /** @type {"wallMs" | "cpuMs"} */ key) =>
          summary(children[i]?.runs.map((run) => run[key]) ?? []).median ?? Number.NaN;
        children.forEach(({ form, runs }, i) => {
          const wallMs = summary(runs.map((run) => run.wallMs));
          results.push({
            model: name,
            part,
            size,
            form,
            wallMs,
            cpuMs: summary(runs.map((run) => run.cpuMs)),
            gflopPerSecond: gflop / ((wallMs.median ?? Number.NaN) / 1000),
            wallRatio: median(0, "wallMs") / median(i, "wallMs"),
            cpuRatio: median(0, "cpuMs") / median(i, "cpuMs"),
            peakBytes: Math.max(...runs.map((run) => run.peakBytes)),
            loadMs: runs[0]?.loadMs,
          });
        });
      }
    }
  }
  const machine = { cpu: cpus()[0]?.model, threads: Number(values.threads), node: process.version };
  if (values.json)
    writeFileSync(
      values.json,
      `${JSON.stringify({ machine, rounds: Number(values.rounds), results }, undefined, 2)}\n`,
    );
  console.log(
    "model                   part    size  form        wall ms (quartiles)     cpu ms  GFLOP/s  ratio wall/cpu  peak MB  load ms",
  );
  for (const row of results) {
    const { median = 0, low = 0, high = 0 } = row.wallMs;
    console.log(
      [
        row.model.padEnd(23),
        row.part.padEnd(7),
        String(row.size).padStart(4),
        ` ${row.form.padEnd(9)}`,
        `${median.toFixed(0).padStart(7)} (${low.toFixed(0)}-${high.toFixed(0)})`.padEnd(23),
        (row.cpuMs.median ?? 0).toFixed(0).padStart(7),
        row.gflopPerSecond.toFixed(0).padStart(8),
        `${row.wallRatio.toFixed(2)} / ${row.cpuRatio.toFixed(2)}`.padStart(15),
        (row.peakBytes / 1e6).toFixed(0).padStart(8),
        (row.loadMs ?? 0).toFixed(0).padStart(8),
      ].join(" "),
    );
  }
}

await (process.env.DCAE_BENCH === undefined ? main() : child());

// @ts-check
/**
 * `npm run bench:gpu`: whether a GPU of this machine computes the right thing, and how fast. In less than 8 minutes:
 *
 * 1. the golden autoencoders of the reference, encoded and decoded in float32 and float16;
 * 2. encode and decode of SD-VAE-f8 and DC-AE f64 at 512 pixels, a denoising step of UViT-H and a training step of UViT-S on the
 *    latents of both, beside the paper's 19.1 and 17.9 times.
 *
 *   npm run bench:gpu -- [--device webgpu|cuda] [--batches 1,16] [--budget SECONDS] [--case-seconds N] [--only TEXT] [--json FILE] [--tiny]
 *
 * Without --device, CUDA where its libraries are, otherwise WebGPU. Each case is a process of its own with a limit of time: one that
 * fails, or takes the driver with it, is a line with its reason, and so is one for which no time is left. `--only` measures those whose line
 * contains a text, as in "train". `--tiny` has small networks and
 * few runs, for a software driver, as Chromium's: VK_DRIVER_FILES=/usr/lib/chromium/vk_swiftshader_icd.json.
 */
import { fork } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { fail, root, turbo } from "./workspace.mjs";

const GOLDEN = join(root, "packages/core/test/golden/dcae");
/** Relative to the largest value. float32 as in the tests; each number of float16 has an error of 5e-4, which layers add up. */
const TOLERANCE = { float32: 1e-4, float16: 5e-2 };
const DTYPES = /** @type {const} */ (["float32", "float16"]);
/** The baseline and what it is compared with, ImageNet 512 px on an H100 (arXiv 2410.10733, abstract: UViT-H). */
const LATENTS = ["sd-vae-f8-512", "dc-ae-f64c128-512"];
/** 64 and 16 tokens of a network of three narrow blocks: a software driver takes minutes for a step of UViT-S. */
const TINY_LATENTS = ["dc-ae-f64c128-512", "dc-ae-f128c512-512"];
const TINY_DENOISER = { depth: 3, hidden_size: 64, num_heads: 2 };
const CASE_SECONDS = 120;

/** @typedef {{ task: "device" | "golden" | "half" | "denoise" | "train", device: string, dtype: "float32" | "float16", name: string, part?: string,
 *   size: number, batch: number, warmup: number, runs: number, overrides?: object }} Job */

/** A module of a built package. @param {string} path */
const built = (path) => import(new URL(`../packages/${path}`, import.meta.url).href);
/** @param {readonly number[]} shape */
const sizeOf = (shape) => shape.reduce((a, b) => a * b, 1);

/** The golden autoencoders that are there as folders of the hub. */
function goldenNames() {
  return readdirSync(GOLDEN).filter((name) => /^ae_.*_diffusers$/.test(name));
}

// In the process of one case.

/** Largest error of a golden autoencoder over all its calls, relative to the largest value. @param {Job} job */
async function runGolden({ device, dtype, name }) {
  const { loadAutoencoder } = await built("core/dist/index.js");
  const { openSafetensorsFile } = await built("core/dist/checkpoint/index.js");
  const { calls, io_from } = JSON.parse(readFileSync(join(GOLDEN, name, "case.json"), "utf8"));
  const arrays = await openSafetensorsFile(join(GOLDEN, `${io_from}.safetensors`));
  const model = await loadAutoencoder(join(GOLDEN, name), { device, dtype });
  let error = 0;
  try {
    for (const { method, in: inputs, out } of calls) {
      const x = await arrays.entries.get(inputs[0]).read();
      const expected = (await arrays.entries.get(out).read()).toFloat32();
      const got = (method === "encode" ? await model.encode(x) : await model.decode(x)).toFloat32();
      let [difference, largest] = [0, 0];
      for (let i = 0; i < expected.length; i++) {
        difference = Math.max(
          difference,
          Number.isFinite(got[i]) ? Math.abs(got[i] - expected[i]) : Number.POSITIVE_INFINITY,
        );
        largest = Math.max(largest, Math.abs(expected[i]));
      }
      error = Math.max(error, difference / largest);
    }
  } finally {
    await model.dispose();
    await arrays.close();
  }
  return { error };
}

/** Numbers that keep values at their size; drawing 10^9 of them would take longer than the benchmark. @param {any} program */
async function weightsOf(program) {
  const { benchmarkWeights } = await built("diffusion/dist/internal/index.js");
  const { Tensor } = await built("core/dist/index.js");
  const drawn = benchmarkWeights([...program.parameters.values()]);
  const entries = [...program.parameters.values()].map(({ name, shape, dtype }) => {
    const read = async () => {
      const { data } = await drawn.entries.get(name).read();
      // Those that were drawn have a deviation of 0.02. Norms have ones.
      const scale = 1 / (0.02 * Math.sqrt(sizeOf(shape.slice(1))));
      for (let i = 0; i < data.length; i++) data[i] = shape.length > 1 ? data[i] * scale : 1;
      return Tensor.float32(data, shape).cast(dtype);
    };
    return [name, { name, shape, dtype, read }];
  });
  return { source: "benchmark weights", entries: new Map(/** @type {any} */ (entries)), close: async () => {} };
}

/** Encode or decode of a published autoencoder. @param {any} engine @param {Job} job */
async function runHalf(engine, { name, part, size, batch, warmup, runs }) {
  const { getPreset, Tensor } = await built("core/dist/index.js");
  const { buildDecodeProgram, buildEncodeProgram, compressionOf } = await built("core/dist/models/index.js");
  const { timeRuns } = await built("diffusion/dist/internal/index.js");
  const model = getPreset(name);
  const { inChannels, latentChannels } = model.config;
  const side = size / compressionOf(model);
  const program =
    part === "encode"
      ? buildEncodeProgram(model, [batch, inChannels, size, size])
      : buildDecodeProgram(model, [batch, latentChannels, side, side]);
  const loaded = await engine.load(program, await weightsOf(program));
  const [[input, { shape }]] = [...program.inputs];
  const x = Tensor.float32(
    new Float32Array(sizeOf(shape)).map((_, i) => Math.sin(i)),
    shape,
  );
  return { times: await timeRuns(() => loaded.run({ [input]: x }), { warmup, runs }) };
}

/** A step of a denoiser. @param {any} engine @param {Job} job */
async function runStep(engine, { task, name, part, batch, warmup, runs, overrides }) {
  const bench = { size: name, latent: part, batch, warmup, runs, overrides };
  const { benchDenoising } = await built("diffusion/dist/index.js");
  const { benchTraining } = await built("train/dist/diffusion/index.js");
  const { times, macs } = await (task === "train" ? benchTraining : benchDenoising)(engine, bench);
  return { times, macs };
}

/** @param {Job} job */
async function runJob(job) {
  if (job.task === "golden") return runGolden(job);
  const { createEngine } = await built("core/dist/index.js");
  const engine = await createEngine({ device: job.device, ...(job.dtype === "float16" ? { dtype: "float16" } : {}) });
  try {
    if (job.task === "device") return { engine: engine.name };
    return await (job.task === "half" ? runHalf : runStep)(engine, job);
  } finally {
    await engine.dispose();
  }
}

function child() {
  process.once("message", async (/** @type {Job} */ job) => {
    const answer = await runJob(job).catch((error) => ({ problem: String(error.message).split("\n")[0] }));
    process.send?.(answer, () => process.exit(0));
  });
}

// In the process that was started.

/** What a case gives, or its problem. @param {Partial<Job>} job @param {number} seconds @returns {Promise<any>} */
function inChild(job, seconds) {
  return new Promise((resolve) => {
    const process_ = fork(fileURLToPath(import.meta.url), ["--child"], {
      stdio: ["ignore", "ignore", "ignore", "ipc"],
    });
    const timer = setTimeout(() => {
      process_.kill("SIGKILL");
      resolve({ problem: `took longer than ${Math.round(seconds)} s` });
    }, 1000 * seconds);
    process_.once("message", resolve);
    process_.once("error", (error) => resolve({ problem: error.message }));
    process_.once("exit", (code, signal) => {
      clearTimeout(timer);
      resolve({ problem: `the process ended ${signal === null ? `with status ${code}` : `by ${signal}`}` });
    });
    process_.send(job);
  });
}

/** @param {readonly number[]} values */
function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? Number(sorted[middle]) : (Number(sorted[middle - 1]) + Number(sorted[middle])) / 2;
}

/** @param {number} seconds */
const duration = (seconds) => (seconds < 1 ? `${(1000 * seconds).toFixed(1)} ms` : `${seconds.toFixed(2)} s`);

/** The device to measure. @param {string | undefined} wanted */
async function chooseDevice(wanted) {
  const problems = [];
  for (const device of wanted === undefined ? ["cuda", "webgpu"] : [wanted]) {
    const { problem, engine } = await inChild({ task: "device", device, dtype: "float32" }, CASE_SECONDS);
    if (problem === undefined) return { device, engine };
    problems.push(`${device}: ${problem}`);
  }
  return fail(`no GPU can be used here\n${problems.join("\n")}`);
}

/** @param {boolean} tiny @param {readonly number[]} batches */
function measuredJobs(tiny, batches) {
  /** @type {Partial<Job>[]} */
  const jobs = [];
  const counts = tiny ? { warmup: 1, runs: 2, overrides: TINY_DENOISER } : { warmup: 3, runs: 10 };
  const latents = tiny ? TINY_LATENTS : LATENTS;
  const models = tiny ? ["taesd"] : ["sd-vae-ft-ema", "dc-ae-f64c128-in-1.0"];
  // Those that the paper is about come first, should time run out.
  for (const batch of batches) {
    for (const dtype of DTYPES) {
      for (const part of latents)
        jobs.push({ task: "denoise", name: tiny ? "uvit-s" : "uvit-h", part, dtype, batch, ...counts });
    }
    for (const part of latents) jobs.push({ task: "train", name: "uvit-s", part, dtype: "float32", batch, ...counts });
    for (const dtype of DTYPES) {
      for (const name of models) {
        for (const part of ["encode", "decode"]) {
          jobs.push({ task: "half", name, part, dtype, size: tiny ? 32 : 512, batch, ...counts });
        }
      }
    }
  }
  return jobs;
}

async function main() {
  const { values } = parseArgs({
    options: {
      device: { type: "string" },
      batches: { type: "string" },
      budget: { type: "string", default: "460" },
      json: { type: "string" },
      tiny: { type: "boolean", default: false },
      only: { type: "string", default: "" },
      "case-seconds": { type: "string", default: "120" },
      "no-build": { type: "boolean", default: false },
    },
  });
  const { tiny } = values;
  const batches = (values.batches ?? (tiny ? "1" : "1,16")).split(",").map(Number);
  const budget = Number(values.budget);
  if (!(budget > 0 && batches.every((batch) => Number.isInteger(batch) && batch > 0)))
    fail("--budget and --batches are positive numbers");
  if (!values["no-build"] && turbo("build", "--filter=@dcae/train...", "--filter=@dcae/diffusion...") !== 0)
    fail("the packages can't be built");

  const started = performance.now();
  const left = () => budget - (performance.now() - started) / 1000;
  const { device, engine } = await chooseDevice(values.device);
  console.log(`${engine}, ${cpus()[0]?.model ?? "unknown CPU"}, Node ${process.version}${tiny ? ", tiny" : ""}`);

  const golden = [];
  console.log("\ngolden autoencoders: largest error, relative to the largest value");
  for (const name of tiny ? goldenNames().slice(0, 1) : goldenNames()) {
    for (const dtype of DTYPES) {
      const answer = await inChild({ task: "golden", device, dtype, name }, Math.min(CASE_SECONDS, left()));
      // Without the 16-bit feature a device has nothing to be right or wrong about.
      const isRight = answer.problem === undefined ? answer.error <= TOLERANCE[dtype] : /f16/.test(answer.problem);
      golden.push({ name, dtype, isRight, ...answer });
      const told = answer.problem ?? answer.error.toExponential(1);
      console.log(`${name.padEnd(24)} ${dtype}  ${told}${isRight ? "" : "  WRONG"}`);
    }
  }

  const results = [];
  console.log("\nseconds per run: median, and per picture");
  for (const job of measuredJobs(tiny, batches)) {
    const label = [job.task, job.name, job.part].join(" ");
    if (!`${label} ${job.dtype}`.includes(values.only)) continue;
    const seconds = Math.min(Number(values["case-seconds"]), left());
    const answer =
      seconds < 5 ? { problem: `not measured: the ${budget} s are over` } : await inChild({ ...job, device }, seconds);
    const result = { ...job, ...answer, ...(answer.times && { median: median(answer.times) }) };
    results.push(result);
    const told = answer.times
      ? `${duration(result.median)}  ${duration(result.median / (job.batch ?? 1))}`
      : answer.problem;
    console.log(`${label.padEnd(44)} ${job.dtype}  x${String(job.batch).padEnd(3)} ${told}`);
  }
  // What trains is computed in float32, whatever the engine computes in elsewhere.
  console.log("train uvit-s float16: isn't there, training computes in float32");

  const { PAPER_SPEEDUP } = await built("diffusion/dist/internal/index.js");
  const [baseline, deep] = tiny ? TINY_LATENTS : LATENTS;
  console.log(`\n${deep} against ${baseline}: times as fast`);
  const ratios = [];
  for (const task of /** @type {const} */ (["denoise", "train"])) {
    for (const dtype of DTYPES) {
      for (const batch of batches) {
        const times = [baseline, deep].map(
          (part) =>
            results.find((one) => one.task === task && one.part === part && one.dtype === dtype && one.batch === batch)
              ?.median,
        );
        if (times[0] === undefined || times[1] === undefined) continue;
        const ratio = times[0] / times[1];
        ratios.push({ task, dtype, batch, ratio });
        const paper = `the paper has ${PAPER_SPEEDUP[task]} (UViT-H, H100, half precision, large batches)`;
        console.log(`${task.padEnd(8)} ${dtype}  x${String(batch).padEnd(3)} ${ratio.toFixed(1)}   ${paper}`);
      }
    }
  }
  console.log(`\n${((performance.now() - started) / 1000).toFixed(0)} s in all`);
  const machine = { engine, device, cpu: cpus()[0]?.model, node: process.version };
  if (values.json !== undefined) {
    writeFileSync(
      values.json,
      `${JSON.stringify({ machine, tiny, golden, results, ratios, paper: PAPER_SPEEDUP }, undefined, 2)}\n`,
    );
  }
  if (golden.some(({ isRight }) => !isRight)) fail("the golden autoencoders are computed wrongly");
}

if (process.argv.includes("--child")) child();
else await main();

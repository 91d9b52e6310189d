// @ts-check
/**
 * What ranks gain: training of small-f32 (its recipe's first phase: 128x128, a batch of 8) and of UViT-S (64 tokens), and decoding of
 * 2048x2048 in tiles by the bundled model, the first picture ("decode", which is planned, too) and another; by one process, and by two
 * ranks with one thread each that mpirun starts. They take turns, and each process is bound to a core, as mpirun does by itself.
 *
 * Trainings are measured twice: "strong" is the same batch for both, "weak" the same batch for each rank, so twice the pictures in an
 * update. "apart" is what the machine allows: two processes at the same time that know nothing of each other, each with the whole work.
 * Cores share caches and memory, so even these are less than twice as fast as one.
 *
 * Prints JSON: medians in seconds, pictures in a second, how many times faster two processes are, and the share of their time that
 * collective calls take, in which one waits for the other, too. Needs two idle cores, and MPI.
 *
 *   node bench/scaling.bench.mjs [--cases small-f32,uvit-s,decode,decode-next] [--turns 2] [--updates 3] [--batch 32] [--json FILE]
 *
 * --updates and --batch are those of UViT-S; small-f32, whose updates are short, makes four times as many. Updates are timed inside a
 * training, from one to the next, without the first one; a decode from the call to the picture, without opening the model. Reading the
 * data (pictures of the training's size, latents) is part of an update.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { AutoencoderDC } from "@dcae/core";
import { createRandom, Tensor } from "@dcae/core/graph";
import { isFirst, median, openMpi } from "@dcae/core/internal";
import { createEngine } from "@dcae/core/runtime";
import { parseTrainingConfig, trainAutoencoder, trainingRecipe } from "@dcae/train";
import { parseDiffusionConfig, trainDiffusion } from "@dcae/train/diffusion";

/** Updates whose time isn't that of the others: buffers are made, pages are touched. */
const WARM_UP = 1;
const SMALL_UPDATES = 4;
/** Of each process that decodes: the whole picture takes more. */
const MAX_MEMORY = 900e6;
/** Updates that never come: no evaluation and no checkpoint falls into what is timed. */
const NEVER = 1e6;
const MPIRUN = ["--bind-to", "core"];
/** Side of small-f32's pictures, and its batch. */
const SMALL_SIZE = 128;
const SMALL_BATCH = 8;

/**
 * @typedef {import("@dcae/core/internal").Communicator | undefined} Ranks
 * @typedef {{ folder: string, updates: number, batch: number, times: number }} Setting how many times the batch is
 * @typedef {{ seconds: number, shared: number }} Measured seconds of one update or decode, and those of them in collective calls
 */

/** Times what `show` is called after. @param {Ranks} ranks */
function createWatch(ranks) {
  /** @type {{ at: number, spent: number }[]} */
  const marks = [];
  return {
    progress: {
      show: () => void marks.push({ at: performance.now() / 1000, spent: ranks?.spent.seconds ?? 0 }),
      clear() {},
    },
    /** @returns {Measured} */
    measured() {
      const between = marks.slice(WARM_UP).map(({ at, spent }, i) => {
        const before = /** @type {typeof marks[number]} */ (marks[WARM_UP - 1 + i]);
        return { seconds: at - before.at, shared: spent - before.spent };
      });
      const of = (/** @type {keyof Measured} */ name) => median(between.map((values) => values[name]));
      return { seconds: of("seconds"), shared: of("shared") };
    },
  };
}

const trainingEngine = () => createEngine({ device: "cpu", threads: 1, optimize: false });

/** @type {Record<string, (setting: Setting, ranks: Ranks, out: string) => Promise<Measured>>} */
const CASES = {
  async "small-f32"({ folder, updates, times }, ranks, out) {
    const recipe = /** @type {any} */ (trainingRecipe("small-f32"));
    const [phase] = recipe.phases;
    const scenes = { kind: "folder", path: join(folder, "pictures") };
    const config = parseTrainingConfig(
      {
        ...recipe,
        data: { ...recipe.data, sources: [scenes], workers: 0 },
        validation: { sources: [scenes], count: 2 },
        phases: [
          {
            ...phase,
            batch: SMALL_BATCH * times,
            steps: WARM_UP + SMALL_UPDATES * updates,
            evaluateEvery: NEVER,
            checkpointEvery: NEVER,
          },
        ],
      },
      "the benchmark",
    );
    const watch = createWatch(ranks);
    const engine = await trainingEngine();
    await trainAutoencoder({ config, directory: out, engine, ranks, progress: () => watch.progress });
    return watch.measured();
  },

  async "uvit-s"({ folder, updates, batch, times }, ranks, out) {
    const config = parseDiffusionConfig(
      {
        name: "scaling",
        about: "UViT-S for a benchmark",
        denoiser: { size: "uvit-s", model: { patch_size: 1 } },
        data: { path: join(folder, "latents") },
        plannedFor: { channels: 32, size: 8, classes: 12 },
        batch: batch * times,
        steps: WARM_UP + updates,
        optimizer: { schedule: { kind: "constant", lr: 2e-4 } },
        samples: null,
        evaluateOn: 2,
        evaluateEvery: NEVER,
        checkpointEvery: NEVER,
      },
      "the benchmark",
    );
    const watch = createWatch(ranks);
    const engine = await trainingEngine();
    await trainDiffusion({ config, directory: out, engine, ranks, progress: watch.progress });
    return watch.measured();
  },

  decode: (_, ranks) => decode(ranks, 1),

  "decode-next": (_, ranks) => decode(ranks, 2),
};

/** The last of so many pictures. @param {Ranks} ranks @param {number} pictures @returns {Promise<Measured>} */
async function decode(ranks, pictures) {
  const model = await AutoencoderDC.fromPretrained("small-f32", { device: "cpu", threads: 1 });
  const values = createRandom(1, "latent").uniform(new Float32Array(32 * 64 * 64), -1, 1);
  let measured = { seconds: 0, shared: 0 };
  for (let i = 0; i < pictures; i++) {
    const [start, spent] = [performance.now(), ranks?.spent.seconds ?? 0];
    await model.decode(Tensor.float32(values, [1, 32, 64, 64]), { maxMemory: MAX_MEMORY, ranks });
    measured = { seconds: (performance.now() - start) / 1000, shared: (ranks?.spent.seconds ?? 0) - spent };
  }
  return measured;
}

/** What a process of those that mpirun started writes, if they aren't joined. @param {string} out @param {number} rank */
const ownOut = (out, rank) => `${out}-${rank}`;

/** A process that measures; the first rank says what it found, or each of those apart. */
async function child() {
  const { name, isJoined, out: place, setting } = JSON.parse(process.env.DCAE_BENCH ?? "");
  const ranks = isJoined ? await openMpi({ onEnd: (message) => message && console.error(message) }) : undefined;
  const out = isJoined ? place : ownOut(place, Number(process.env.OMPI_COMM_WORLD_RANK));
  const measured = await /** @type {typeof CASES[string]} */ (CASES[name])?.(setting, ranks, out);
  if (isFirst(ranks)) writeFileSync(`${out}.json`, JSON.stringify(measured));
  await ranks?.close();
  process.exit(0);
}

/** @param {string} program @param {readonly string[]} args @param {NodeJS.ProcessEnv} env @returns {Promise<void>} */
function run(program, args, env) {
  return new Promise((resolve, reject) => {
    const started = spawn(program, args, { env: { ...process.env, ...env }, stdio: ["ignore", "ignore", "pipe"] });
    let problem = "";
    started.stderr.on("data", (text) => {
      problem += text;
    });
    started.once("error", reject);
    started.once("close", (status) =>
      status === 0 ? resolve() : reject(new Error(`${program} ended with ${status}: ${problem}`)),
    );
  });
}

/**
 * @typedef {{ way: string, processes: number, isJoined: boolean, times: number }} Way
 * @param {string} name @param {Way} way @param {string} out @param {Setting} setting @returns {Promise<Measured>}
 */
async function measure(name, { processes, isJoined }, out, setting) {
  // One process alone is started by mpirun, too, so that it is bound to a core; it joins nobody.
  const args = [...MPIRUN, "-n", String(processes), process.execPath, fileURLToPath(import.meta.url)];
  const isRoot = process.getuid?.() === 0 ? { OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" } : {};
  const env = { ...isRoot, DCAE_BENCH: JSON.stringify({ name, isJoined, out, setting }) };
  await run("mpirun", args, env);
  const places = isJoined ? [out] : Array.from({ length: processes }, (_, rank) => ownOut(out, rank));
  /** @type {Measured[]} */
  const all = places.map((place) => JSON.parse(readFileSync(`${place}.json`, "utf8")));
  // Of two apart, the mean: a slower one isn't waited for.
  const meanOf = (/** @type {keyof Measured} */ key) =>
    all.reduce((sum, measured) => sum + measured[key], 0) / all.length;
  return { seconds: meanOf("seconds"), shared: meanOf("shared") };
}

async function main() {
  const { values } = parseArgs({
    options: {
      cases: { type: "string", default: Object.keys(CASES).join(",") },
      turns: { type: "string", default: "2" },
      updates: { type: "string", default: "3" },
      batch: { type: "string", default: "32" },
      json: { type: "string" },
    },
  });
  const names = values.cases.split(",");
  for (const name of names) {
    if (CASES[name] === undefined) throw new Error(`no case "${name}": ${Object.keys(CASES).join(", ")}`);
  }
  const [turns, updates, batch] = [values.turns, values.updates, values.batch].map(Number);
  if (spawnSync("mpirun", ["--version"]).status !== 0) {
    console.log("scaling: skipped, there is no mpirun here (apt-get install openmpi-bin)");
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), "dcae-bench-scaling-"));
  try {
    const dcae = fileURLToPath(new URL("../dist/bin.js", import.meta.url));
    if (names.includes("small-f32")) {
      const pictures = ["--count", "10", "--size", String(SMALL_SIZE), "-o", join(folder, "pictures")];
      await run(process.execPath, [dcae, "scenes", ...pictures], {});
    }
    if (names.includes("uvit-s")) {
      const pictures = ["--data", "synthetic", "--count", String(2 * Math.max(24, batch)), "--size", "256"];
      await run(process.execPath, [dcae, "latents", ...pictures, "-m", "small-f32", "-o", join(folder, "latents")], {});
    }
    const results = [];
    for (const name of names) {
      const isTraining = !name.startsWith("decode");
      const rows = name === "uvit-s" ? /** @type {number} */ (batch) : !isTraining ? 1 : SMALL_BATCH;
      /** @type {Way[]} */
      const ways = [
        { way: "alone", processes: 1, isJoined: false, times: 1 },
        { way: "apart", processes: 2, isJoined: false, times: 1 },
        { way: "strong", processes: 2, isJoined: true, times: 1 },
        ...(isTraining ? [{ way: "weak", processes: 2, isJoined: true, times: 2 }] : []),
      ];
      /** @type {Record<string, Measured[]>} */
      const runs = {};
      for (let turn = 0; turn < Number(turns); turn++) {
        for (const way of ways) {
          const setting = /** @type {Setting} */ ({ folder, updates, batch, times: way.times });
          const measured = await measure(name, way, join(folder, `${name}-${turn}-${way.way}`), setting);
          runs[way.way] = [...(runs[way.way] ?? []), measured];
        }
      }
      const secondsOf = (/** @type {string} */ way) => median((runs[way] ?? []).map(({ seconds }) => seconds));
      for (const { way, processes, isJoined, times } of ways.slice(1)) {
        // How many times the work of one process was done in that time.
        const works = isJoined ? times : processes;
        const result = {
          case: name,
          way,
          batch: rows,
          oneProcess: secondsOf("alone"),
          twoProcesses: secondsOf(way),
          perSecond: [rows / secondsOf("alone"), (works * rows) / secondsOf(way)],
          speedup: (works * secondsOf("alone")) / secondsOf(way),
          communication: median((runs[way] ?? []).map(({ seconds, shared }) => shared / seconds)),
          runs: { alone: runs.alone, [way]: runs[way] },
        };
        results.push(result);
        console.error(`${name}, ${way}: ${result.speedup.toFixed(2)} times as fast`);
      }
    }
    const machine = { cpu: cpus()[0]?.model, cores: availableParallelism(), node: process.version };
    const text = JSON.stringify({ machine, turns, updates, batch, results }, null, 2);
    console.log(text);
    if (values.json !== undefined) writeFileSync(values.json, `${text}\n`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await (process.env.DCAE_BENCH === undefined ? main() : child());

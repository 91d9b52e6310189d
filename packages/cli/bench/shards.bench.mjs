// What sharing a job among processes gains: a folder of pictures is encoded by one process with one thread, and by two shards with one
// thread each at the same time, in turns, as users would (the built program, the model opened anew each time). Prints JSON: medians of
// a few turns in seconds, and how much faster two are. Needs two idle cores, and binds each process to one of them (taskset): one that is
// free takes both, since it reads pictures beside its one thread that computes.
//
//   npm run bench -- --filter=@dcae/cli          COUNT=100 SIZE=256 TURNS=3 node bench/shards.bench.mjs
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Pictures of each of 12 classes. */
const COUNT = Number(process.env.COUNT ?? 100);
const SIZE = Number(process.env.SIZE ?? 256);
const TURNS = Number(process.env.TURNS ?? 3);
const dcae = fileURLToPath(new URL("../dist/bin.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "dcae-bench-shards-"));
const at = (...names) => join(folder, ...names);

const run = (...args) => runOn("0,1", ...args);

/** @param cores the cores that it may use, as taskset takes them */
function runOn(cores, ...args) {
  return new Promise((resolve, reject) => {
    const command = ["-c", cores, process.execPath, dcae, ...args];
    const child = spawn("taskset", command, { stdio: ["ignore", "ignore", "pipe"] });
    let problem = "";
    child.stderr.on("data", (text) => {
      problem += text;
    });
    child.once("error", reject);
    child.once("close", (status) =>
      status === 0 ? resolve() : reject(new Error(`dcae ${args.join(" ")}: ${problem}`)),
    );
  });
}

const encode = (core, out, ...more) =>
  runOn(core, "encode", at("pictures"), "-m", "small-f32", "--batch-size", "8", "--threads", "1", "-o", out, ...more);

async function seconds(work) {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const latentsIn = (path) => readdirSync(path, { recursive: true }).filter((name) => name.endsWith(".npy")).length;

try {
  await run("scenes", "--count", String(COUNT), "--size", String(SIZE), "-o", at("pictures"));
  const alone = [];
  const shared = [];
  for (let turn = 0; turn < TURNS; turn++) {
    const [one, two] = [at(`one-${turn}`), at(`two-${turn}`)];
    alone.push(await seconds(() => encode("0", one)));
    shared.push(
      await seconds(() =>
        Promise.all(["1/2", "2/2"].map((shard, core) => encode(String(core), two, "--shard", shard))),
      ),
    );
    if (latentsIn(one) !== latentsIn(two)) throw new Error("the shards didn't write what one process writes");
  }
  const [one, two] = [median(alone), median(shared)];
  const facts = { pictures: latentsIn(at("one-0")), size: SIZE, cores: availableParallelism(), turns: TURNS };
  console.log(
    JSON.stringify({ ...facts, oneProcess: one, twoShards: two, speedup: one / two, alone, shared }, null, 2),
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}

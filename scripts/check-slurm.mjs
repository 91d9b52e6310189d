// Jobs on a real Slurm of one machine: an array of latents whose tasks are killed and sent away, and requeued by Slurm, gives the folder
// of a single run bit for bit; and a training of two processes by srun. Status 77: the programs aren't here and can't be installed; the last line says why.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { requireSameWeights } from "./compare-runs.mjs";
import { prepareSlurm, startSlurm } from "./slurm.mjs";
import { TINY_TRAINING } from "./tiny-training.mjs";
import { root } from "./workspace.mjs";

const SKIPPED = 77;
const TASKS = 8;
const KILLED = 3;
const SENT_AWAY = 5;
const dcae = [process.execPath, join(root, "packages", "cli", "dist", "bin.js")];

const problem = prepareSlurm();
if (problem !== undefined) {
  console.log(problem);
  process.exit(SKIPPED);
}

// Sockets have short paths.
const folder = mkdtempSync("/tmp/dcae-slurm-");
const at = (...names) => join(folder, ...names);
let slurm;
let failed = false;
try {
  mkdirSync(at("slurm"));
  slurm = await startSlurm(at("slurm"), { cpus: 2 });
  await arrayOfLatents();
  trainingOfTwo();
} catch (error) {
  failed = true;
  console.error(error.message);
  if (slurm !== undefined) console.error(slurm.logs());
} finally {
  await slurm?.stop();
  rmSync(folder, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);

function say(program, args, options = {}) {
  return execFileSync(program, args, {
    env: slurm.env,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    ...options,
  });
}

/** Waits until no job is left. Requeued ones would wait for two minutes: they may begin now. */
async function untilDone(job, log) {
  for (let tries = 0; tries < 600; tries++) {
    const lines = say("squeue", ["-h", "-r", "-j", job, "-o", "%i %T %r"]).trim().split("\n").filter(Boolean);
    if (lines.length === 0) return;
    for (const [id, state, reason] of lines.map((line) => line.split(" "))) {
      if (state === "PENDING" && reason === "BeginTime") {
        spawnSync("scontrol", ["update", `JobId=${id}`, "StartTime=now"], { env: slurm.env });
      }
    }
    await wait(250);
  }
  throw new Error(`job ${job} didn't end:\n${say("squeue", [])}\n${log()}`);
}

/** The process that holds the lock of a shard: it is at work. */
async function workerOf(out, task) {
  const lock = join(out, `.shard-${task + 1}-of-${TASKS}.lock`);
  for (let tries = 0; tries < 6000; tries++) {
    try {
      return JSON.parse(readFileSync(lock, "utf8")).pid;
    } catch {
      await wait(10);
    }
  }
  throw new Error(`task ${task} never took its shard`);
}

async function arrayOfLatents() {
  const [single, joined] = [at("single"), at("joined")];
  const args = ["--data", "synthetic", "--count", "256", "--size", "64", "-m", "small-f32", "--shard-size", "16"];
  const scale = ["--batch-size", "4", "--scaling-factor", "1"];
  execFileSync(dcae[0], [dcae[1], "latents", ...args, ...scale, "--threads", "1", "-o", single], { stdio: "ignore" });

  const script = join(root, "examples", "cluster", "latents.sbatch");
  const options = [`--array=0-${TASKS - 1}`, "--cpus-per-task=1", "--mem=0", "--chdir", folder, "--parsable"];
  const env = { ...slurm.env, DCAE: dcae.join(" ") };
  const job = say("sbatch", [...options, script, ...args, ...scale, "-o", joined], { env }).trim();
  const log = (task) => {
    const path = at(`latents-${job}_${task}.log`);
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  };
  const logs = () => Array.from({ length: TASKS }, (_, task) => `--- task ${task}\n${log(task)}`).join("\n");

  process.kill(await workerOf(joined, KILLED), "SIGKILL");
  // What Slurm sends before the end of a task's time, or a machine's.
  process.kill(await workerOf(joined, SENT_AWAY), "SIGUSR1");
  await untilDone(job, logs);

  for (const [task, status] of [
    [KILLED, 137],
    [SENT_AWAY, 75],
  ]) {
    if (!log(task).includes(`status ${status}: going on`))
      throw new Error(`task ${task} wasn't requeued by ${status}:\n${logs()}`);
  }
  const merged = execFileSync(dcae[0], [dcae[1], "latents", "merge", joined, "--shards", String(TASKS)], {
    encoding: "utf8",
  });
  console.log(merged.trim());
  compareFolders(single, joined, logs);
  console.log(`${TASKS} tasks, one killed and one sent away: the folder of the single run, bit for bit`);
}

function compareFolders(a, b, logs) {
  const names = readdirSync(a).sort();
  if (names.join() !== readdirSync(b).sort().join()) {
    throw new Error(`other files: ${names.join(" ")} and ${readdirSync(b).sort().join(" ")}\n${logs()}`);
  }
  for (const name of names) {
    if (!readFileSync(join(a, name)).equals(readFileSync(join(b, name)))) throw new Error(`${name} differs\n${logs()}`);
  }
}

/** `srun --mpi=pmix`: two processes that share every batch come to what one does. */
function trainingOfTwo() {
  writeFileSync(at("tiny.json"), JSON.stringify(TINY_TRAINING));
  const train = (out) => [...dcae, "train", "--config", at("tiny.json"), "--out", at(out), "--threads", "1"];
  const [program, ...args] = train("one");
  execFileSync(program, args, { stdio: "ignore" });
  say("srun", ["--mpi=pmix", "-n", "2", "--mem=0", ...train("two"), "--parallel", "mpi"]);
  requireSameWeights(at("one"), at("two"), TINY_TRAINING.phases);
  console.log("srun --mpi=pmix -n 2 dcae train: the weights of one process");
}

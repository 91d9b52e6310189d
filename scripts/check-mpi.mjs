// Work over the real Open MPI: two ranks train as one does (an autoencoder, a fine-tuning, a diffusion model), with the same bits every
// time; they share the tiles of a picture; a killed one ends the others, and the run goes on with the same bits, or with another number of
// ranks; two hosts (network namespaces) train together over TCP.
// Status 77: Open MPI isn't here and can't be installed; the last line says why.
import { spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { requireSameBits, requireSameWeights } from "./compare-runs.mjs";
import { prepareMpi } from "./slurm.mjs";
import { TINY_DIFFUSION, TINY_TRAINING } from "./tiny-training.mjs";
import { root } from "./workspace.mjs";

const SKIPPED = 77;
const bin = join(root, "packages", "cli", "dist", "bin.js");
const problem = prepareMpi();
if (problem !== undefined) {
  console.log(problem);
  process.exit(SKIPPED);
}

const folder = mkdtempSync("/tmp/dcae-mpi-");
const at = (...names) => join(folder, ...names);
const env = { ...process.env, OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" };
const { phases } = TINY_TRAINING;
const [first] = phases;
writeFileSync(at("tiny.json"), JSON.stringify(TINY_TRAINING));

const dcae = (...args) => [process.execPath, bin, ...args, "--threads", "1"];
const train = (out, ...more) => [
  bin,
  "train",
  "--config",
  at("tiny.json"),
  "--out",
  at(out),
  "--threads",
  "1",
  ...more,
];
const parallel = (out, ...more) => [process.execPath, ...train(out, "--parallel", "mpi", ...more)];
/** More ranks than processors are fine here. */
const MPIRUN = ["mpirun", "--oversubscribe", "--bind-to", "none"];

/** Runs to the end. @returns what it said to stderr */
function run([program, ...args], status = 0) {
  const done = spawnSync(program, args, { env, encoding: "utf8", timeout: 240_000 });
  const said = `${done.stdout}${done.stderr}`;
  if ((status === 0) !== (done.status === 0)) throw new Error(`${program} ended with ${done.status}:\n${said}`);
  return said;
}

function step(text, action) {
  const start = Date.now();
  const result = action();
  const say = () => console.log(`${text} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
  return result instanceof Promise ? result.then(say) : say();
}

let failed = false;
const namespaces = ["dcae-a", "dcae-b"].map((name) => `${name}-${process.pid}`);
try {
  step("one process", () => run([process.execPath, ...train("one")]));
  step("two ranks come to what one comes to, and say everything once", () => {
    const said = run([...MPIRUN, "-n", "2", ...parallel("two")]);
    requireSameWeights(at("one"), at("two"), phases);
    const lines = said.split("\n").filter((line) => line.startsWith("phase1: finished"));
    if (lines.length !== 1) throw new Error(`said more than once:\n${said}`);
  });
  step("and to the same bits again, as four do to theirs", () => {
    run([...MPIRUN, "-n", "2", ...parallel("again")]);
    requireSameBits(at("two"), at("again"), phases);
    run([...MPIRUN, "-n", "4", ...parallel("four", "--phase", "phase1")]);
    requireSameWeights(at("one"), at("four"), [first]);
  });
  step("a diffusion model and a fine-tuning by two ranks are those of one, with the same bits again", () => {
    const model = at("one", "phase1", "model");
    const scenes = ["--data", "synthetic", "--size", "16"];
    run(dcae("latents", ...scenes, "--count", "24", "-m", model, "--scaling-factor", "1", "-o", at("latents")));
    writeFileSync(at("diffusion.json"), JSON.stringify(TINY_DIFFUSION));
    const diffusion = ["diffusion", "train", "--config", at("diffusion.json"), "--data", at("latents")];
    sameByRanks("diffusion", diffusion, { name: ".", steps: TINY_DIFFUSION.steps });
    const settings = ["phases.finetune.optimizer.eps=1e-3", "data.workers=0", "validation.count=2"];
    const sizes = ["--batch-size", "4", "--accumulate", "2", "--steps", "3", "--perceptual", "none"];
    const finetune = ["finetune", "-m", model, ...scenes, ...sizes, "--set", ...settings];
    sameByRanks("finetune", finetune, { name: "finetune", steps: 3 });
  });
  await step("two ranks share the tiles of a picture, and come to what one process makes of the whole", tiled);
  step("and to the tensors that the whole makes, within 1e-5", () => {
    const said = run([
      ...MPIRUN,
      "-n",
      "2",
      process.execPath,
      fileURLToPath(new URL("tiles-of-ranks.mjs", import.meta.url)),
    ]);
    if (!/^\d+ tiles: .* of the largest value/m.test(said)) throw new Error(said);
  });
  await step("a rank that is killed ends the others, with its name; the run goes on with the same bits", killed);
  step("what differs between ranks is one line, before anything is written", () => {
    const other = ["--set", "seed=1"];
    const args = [...MPIRUN, "-n", "1", ...parallel("other"), ":", "-n", "1", ...parallel("other", ...other)];
    const said = run(args, 1);
    const lines = said.split("\n").filter((line) => line.startsWith("dcae: "));
    if (lines.length !== 1 || !/^dcae: rank 1 \(process \d+ on .*\): has another settings/.test(lines[0]))
      throw new Error(said);
    if (existsSync(at("other", "phase1", "checkpoints"))) throw new Error("something was written");
    const odd = run([...MPIRUN, "-n", "3", ...parallel("odd")], 1);
    if (!odd.includes("dcae: phase1: a batch of 4 can't be divided among 3 ranks")) throw new Error(odd);
  });
  if (process.platform === "linux" && process.getuid() === 0 && makeHosts()) {
    step("two hosts train together over TCP, to the same bits", () => {
      run(onHosts(parallel("hosts")));
      requireSameBits(at("two"), at("hosts"), phases);
    });
  } else console.log("two hosts: skipped, network namespaces can't be made here");
} catch (error) {
  failed = true;
  console.error(error.message);
} finally {
  for (const name of namespaces) spawnSync("ip", ["netns", "del", name]);
  rmSync(folder, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);

/** A training by one process, and twice by two ranks: the same weights, and the same bits twice. */
function sameByRanks(name, command, phase) {
  const [one, two, again] = ["one", "two", "again"].map((which) => at(`${name}-${which}`));
  run(dcae(...command, "--out", one));
  for (const out of [two, again]) run([...MPIRUN, "-n", "2", ...dcae(...command, "--out", out, "--parallel", "mpi")]);
  requireSameWeights(one, two, [phase]);
  requireSameBits(two, again, [phase]);
}

async function tiled() {
  const { AutoencoderDC } = await import("../packages/core/dist/index.js");
  const { readNpyFile } = await import("../packages/core/dist/checkpoint/index.js");
  const { decodeImage } = await import("../packages/core/dist/image/index.js");
  const [name, side, megabytes] = ["small-f32", 768, 350];
  const model = await AutoencoderDC.fromPretrained(name, { device: "cpu", threads: 1 });
  // The command keeps at least this much of the limit for itself.
  const reserved = 60e6;
  for (const [part, shape] of [
    ["encode", [1, 3, side, side]],
    ["decode", model.latentShape([1, 3, side, side])],
  ]) {
    const { tiles } = model.planMemory(part, shape, { maxMemory: megabytes * 1e6, reserved });
    if (tiles < 4) throw new Error(`${part} takes ${tiles} tiles: there is nothing to share`);
  }
  await model.dispose();
  const shared = ["--parallel", "mpi", "--max-memory", `${megabytes}MB`];
  const byRanks = (...args) => run([...MPIRUN, "-n", "2", ...dcae(...args, ...shared)]);
  run([process.execPath, bin, "scenes", "--count", "1", "--size", String(side), "-o", at("scenes")]);
  const file = (folder, ending) =>
    at(
      folder,
      ...readdirSync(at(folder), { recursive: true })
        .filter((path) => path.endsWith(ending))
        .slice(0, 1),
    );
  const picture = file("scenes", ".png");
  run(dcae("encode", picture, "-m", name, "-o", at("latent-one")));
  byRanks("encode", picture, "-m", name, "-o", at("latent-two"));
  const [z, ours] = await Promise.all(["latent-one", "latent-two"].map((of) => readNpyFile(file(of, ".npy"))));
  const error = largest(z.data.map((value, i) => value - ours.data[i])) / largest(z.data);
  if (z.data.length !== ours.data.length || !(error <= 1e-5)) throw new Error(`latents differ by ${error}`);
  const latent = file("latent-one", ".npy");
  run(dcae("decode", latent, "-m", name, "-o", at("one.png")));
  byRanks("decode", latent, "-m", name, "-o", at("two.png"));
  const [whole, parts] = await Promise.all(["one.png", "two.png"].map((path) => decodeImage(readFileSync(at(path)))));
  // Pictures have 8 bits: what lies on the edge of two values may be rounded to either.
  const differences = whole.data.map((value, i) => Math.abs(value - parts.data[i]));
  const share = differences.filter((difference) => difference > 0).length / differences.length;
  if (whole.data.length !== parts.data.length || largest(differences) > 1 || !(share < 0.01))
    throw new Error(`pictures differ by ${largest(differences)} in ${share} of their values`);
}

function largest(values) {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

/** Updates that a run has recorded. */
function updatesOf(out) {
  const path = at(out, "phase1", "metrics.jsonl");
  if (!existsSync(path)) return 0;
  return Math.max(
    0,
    ...readFileSync(path, "utf8")
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line).step),
  );
}

/** Processes of a run, by their rank: the launcher's children know it. */
function processOf(launcher, rank) {
  const found = spawnSync("pgrep", ["-P", String(launcher)], { encoding: "utf8" })
    .stdout.split("\n")
    .filter(Boolean);
  return found.map(Number).find((pid) => {
    const variables = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
    return variables.includes(`OMPI_COMM_WORLD_RANK=${rank}`);
  });
}

async function killed() {
  const long = ["--set", "phases.phase1.steps=6", "phases.phase1.checkpointEvery=1"];
  const launcher = spawn(MPIRUN[0], [...MPIRUN.slice(1), "-n", "2", ...parallel("killed", ...long)], { env });
  let said = "";
  launcher.stdout.on("data", (text) => (said += text));
  launcher.stderr.on("data", (text) => (said += text));
  const ended = new Promise((resolve) => launcher.once("close", resolve));
  while (updatesOf("killed") < 2) {
    if (launcher.exitCode !== null) throw new Error(`ended by itself:\n${said}`);
    await wait(20);
  }
  const victim = processOf(launcher.pid, 1);
  process.kill(victim, "SIGKILL");
  const start = Date.now();
  const status = await ended;
  if (status === 0) throw new Error(`the launcher ended with 0:\n${said}`);
  if (Date.now() - start > 30_000) throw new Error("the others went on for more than 30 s");
  if (!said.includes(`rank 1 (process ${victim}`)) throw new Error(`nobody names the rank:\n${said}`);
  cpSync(at("killed"), at("fewer"), { recursive: true });
  run([...MPIRUN, "-n", "2", ...parallel("killed", "--resume", ...long)]);
  requireSameBits(at("two"), at("killed"), phases);
  run([process.execPath, ...train("fewer", "--resume", ...long)]);
  requireSameWeights(at("one"), at("fewer"), phases);
}

/** Two hosts: network namespaces that only a cable connects. @returns whether they could be made */
function makeHosts() {
  const [a, b] = namespaces;
  const commands = [
    ["netns", "add", a],
    ["netns", "add", b],
    ["link", "add", "dcae-a", "netns", a, "type", "veth", "peer", "name", "dcae-b", "netns", b],
    ["-n", a, "addr", "add", "10.213.77.1/24", "dev", "dcae-a"],
    ["-n", b, "addr", "add", "10.213.77.2/24", "dev", "dcae-b"],
    ...[a, b].flatMap((name, i) => [
      ["-n", name, "link", "set", "lo", "up"],
      ["-n", name, "link", "set", ["dcae-a", "dcae-b"][i], "up"],
    ]),
  ];
  if (!commands.every((args) => spawnSync("ip", args).status === 0)) return false;
  return spawnSync("ip", ["netns", "exec", a, "unshare", "--uts", "true"]).status === 0;
}

/** A command by mpirun, a rank on each host. What stands for ssh enters the other namespace. */
function onHosts(command) {
  const [a, b] = namespaces;
  const agent = at("agent");
  writeFileSync(agent, `#!/bin/sh\nshift\nexec ip netns exec ${b} unshare --uts sh -c "hostname host-b; $*"\n`, {
    mode: 0o755,
  });
  const net = "10.213.77.0/24";
  const settings = {
    plm: "rsh",
    plm_rsh_agent: agent,
    btl: "tcp,self",
    btl_tcp_if_include: net,
    oob_tcp_if_include: net,
  };
  const mca = Object.entries(settings).flatMap(([name, value]) => ["--mca", name, value]);
  const launch = ["mpirun", "--host", "10.213.77.1:1,10.213.77.2:1", ...mca, "-n", "2", ...command];
  return ["ip", "netns", "exec", a, "unshare", "--uts", "sh", "-c", 'hostname host-a; exec "$@"', "sh", ...launch];
}

// Training over the real Open MPI: two ranks do what one does, with the same bits every time; a killed one ends the others, and the run
// goes on with the same bits, or with another number of ranks; two hosts (network namespaces) train together over TCP.
// Status 77: Open MPI isn't here and can't be installed; the last line says why.
import { spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { requireSameBits, requireSameWeights } from "./compare-runs.mjs";
import { prepareMpi } from "./slurm.mjs";
import { TINY_TRAINING } from "./tiny-training.mjs";
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

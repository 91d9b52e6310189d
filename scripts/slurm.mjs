// A Slurm of one machine for checks: munged, slurmctld and slurmd with a configuration, keys and state in one temporary folder,
// without systemd and without touching what the machine has in /etc. Debian's packages are installed where apt-get and the rights
// for it are there.
import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { hostname, totalmem, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

/** Packages, and the programs that tell whether they are there. */
const PACKAGES = {
  slurmctld: "slurmctld",
  slurmd: "slurmd",
  "slurm-client": "sbatch",
  munge: "munged",
  "openmpi-bin": "mpirun",
};
/** Without it `srun --mpi=pmix` says "can not load PMIx library". It has no program: a file tells. */
const PMIX = { name: "libpmix-dev", file: "/usr/lib/x86_64-linux-gnu/pmix2/lib/libpmix.so" };

const searchPath = `${process.env.PATH ?? ""}:/usr/sbin:/sbin`;
const has = (program) => searchPath.split(":").some((folder) => folder !== "" && existsSync(join(folder, program)));
const lackingForSlurm = () => [
  ...Object.entries(PACKAGES).flatMap(([name, program]) => (has(program) ? [] : [name])),
  ...(existsSync(PMIX.file) ? [] : [PMIX.name]),
];

/** Makes sure that Slurm is there. @returns as `prepare` does */
export const prepareSlurm = () => prepare(lackingForSlurm);

/** Makes sure that Open MPI is there. @returns as `prepare` does */
export const prepareMpi = () => prepare(() => (has("mpirun") ? [] : ["openmpi-bin"]));

/**
 * Makes sure that packages are there.
 *
 * @param lacking names of those that aren't
 * @returns why they can't be, in words; undefined where all is there
 */
function prepare(lacking) {
  let names = lacking();
  if (names.length === 0) return undefined;
  if (!has("apt-get")) return `${names.join(", ")} not installed, and there is no apt-get`;
  if (process.getuid?.() !== 0) return `${names.join(", ")} not installed, and only root can install them`;
  // Packages must not start their services.
  const policy = "/usr/sbin/policy-rc.d";
  if (!existsSync(policy)) writeFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  const options = { stdio: "ignore", timeout: 240_000, env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } };
  const install = () => spawnSync("apt-get", ["install", "-y", "--no-install-recommends", ...names], options);
  if (install().status !== 0) {
    spawnSync("apt-get", ["update"], options);
    install();
  }
  names = lacking();
  return names.length === 0 ? undefined : `${names.join(", ")} can't be installed by apt-get`;
}

const configOf = (folder, cpus) => `ClusterName=check
SlurmctldHost=${hostname().split(".")[0]}(127.0.0.1)
SlurmUser=${userInfo().username}
SlurmdUser=${userInfo().username}
SlurmctldPort=${ports(folder)[0]}
SlurmdPort=${ports(folder)[1]}
AuthType=auth/munge
AuthInfo=socket=${folder}/munge.socket
StateSaveLocation=${folder}/state
SlurmdSpoolDir=${folder}/spool
SlurmctldPidFile=${folder}/slurmctld.pid
SlurmdPidFile=${folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
# Seconds until the scheduler looks at what waits; a minute by default.
SchedulerParameters=sched_interval=1
MpiDefault=none
# The number of processors below holds, whatever the machine has.
SlurmdParameters=config_overrides
NodeName=${hostname().split(".")[0]} NodeAddr=127.0.0.1 CPUs=${cpus} RealMemory=${Math.floor(totalmem() / 2 ** 20)} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
`;

/** Two ports below the ephemeral ones, by the folder's name: two checks on one machine rarely meet. */
function ports(folder) {
  const sum = [...folder].reduce((hash, letter) => (hash * 31 + letter.charCodeAt(0)) % 5000, 7);
  return [20_000 + 2 * sum, 20_001 + 2 * sum];
}

/**
 * Starts the daemons.
 *
 * @param folder an empty folder with a short path, for everything they write
 * @returns the environment in which sbatch, srun and scontrol find them, and what ends them
 */
export async function startSlurm(folder, { cpus = 2 } = {}) {
  chmodSync(folder, 0o755);
  for (const name of ["state", "spool"]) mkdirSync(join(folder, name));
  writeFileSync(join(folder, "munge.key"), randomBytes(1024), { mode: 0o400 });
  const config = join(folder, "slurm.conf");
  writeFileSync(config, configOf(folder, cpus));
  const env = { ...process.env, PATH: searchPath, SLURM_CONF: config };
  const children = [];
  const log = (name) => join(folder, `${name}.log`);
  const daemon = (name, args) => {
    const out = openSync(log(name), "a");
    const child = spawn(name, args, { env, stdio: ["ignore", out, out] });
    closeSync(out);
    child.on("error", () => undefined);
    children.push(child);
    return child;
  };
  const stop = async () => {
    for (const child of children.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      const late = await Promise.race([ended.then(() => false), wait(5000).then(() => true)]);
      if (late) child.kill("SIGKILL");
    }
  };
  const logs = () =>
    ["munged", "slurmctld", "slurmd"]
      .map((name) => `--- ${name}\n${existsSync(log(name)) ? readFileSync(log(name), "utf8").slice(-3000) : ""}`)
      .join("\n");
  const until = async (what, isTrue) => {
    for (let tries = 0; tries < 100; tries++) {
      if (isTrue()) return;
      if (children.some(({ exitCode }) => exitCode !== null)) break;
      await wait(200);
    }
    await stop();
    throw new Error(`Slurm: ${what} didn't come up\n${logs()}`);
  };
  const socket = join(folder, "munge.socket");
  const files = ["key", "socket", "pid", "log", "seed"].map((name) => [
    `--${name}-file`,
    join(folder, `munge.${name}`),
  ]);
  const mungeFiles = files.flatMap(([flag, path]) => (flag === "--socket-file" ? ["--socket", path] : [flag, path]));
  daemon("munged", ["--foreground", "--force", ...mungeFiles]);
  await until("munged", () => existsSync(socket));
  daemon("slurmctld", ["-D", "-f", config]);
  daemon("slurmd", ["-D", "-f", config]);
  const says = (program, args) => spawnSync(program, args, { env, encoding: "utf8" }).stdout ?? "";
  await until("its node", () => /\bidle\b/.test(says("sinfo", ["-h", "-o", "%T"])));
  return { env, stop, logs };
}

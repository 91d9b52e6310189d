/** `dcae doctor`: what runs on this machine, why not, and what to install. Nothing here makes a request or loads a model. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, statfs } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { DcaeError, type Device, EngineError } from "@dcae/core";
import { modelCacheFolder } from "@dcae/core/checkpoint";
import { errorMessage } from "@dcae/core/graph";
import { loadSharp } from "@dcae/core/image";
import { type ClusterPlace, clusterShard, type Environment, formatPart, PLACE_VARIABLES } from "@dcae/core/internal";
import { type CpuFacts, cpuFacts, INSTALL_HINTS, probeDevice, runtimeVersion, whyNotInt8 } from "@dcae/core/runtime";
import { Command } from "commander";
import { type CliIo, formatBytes, plural } from "../cli-io.js";
import { NODE_DEVICES } from "../options/engine-options.js";
import { NEEDED_NODE, VERSION } from "../package-info.js";
import { addExamples } from "./command-group.js";

export function doctorCommand(io: CliIo): Command {
  const command = new Command("doctor")
    .summary("what runs on this machine")
    .description(
      "Looks at Node, the CPU, ONNX Runtime and its devices, picture support, memory, the hub's cache, and what a cluster has and says " +
        "(Slurm, MPI, which of many processes this is), and says what to install " +
        "for what doesn't work. Exits with 1 when models can't run at all. Makes no request.",
    )
    .option("--json", "print JSON");
  addExamples(command, [
    { does: "for people", command: "dcae doctor" },
    { does: "for a bug report", command: "dcae doctor --json > doctor.json" },
  ]);
  return command.action(async (flags: { readonly json?: boolean }) => {
    const diagnosis = await diagnose();
    if (flags.json === true) io.json(diagnosis);
    else io.out(formatDiagnosis(diagnosis));
    if (diagnosis.blockers.length > 0) {
      throw new EngineError(`models can't run here: ${diagnosis.blockers.join("; ")}`);
    }
  });
}

/** The text of a diagnosis. */
export function formatDiagnosis({ version, node, machine, runtime, pictures, hub, cluster }: Diagnosis): string {
  const lines = [
    `dcae ${version}`,
    `Node ${node.version}${node.ok ? "" : `: too old, ${node.needed} or newer is needed`}`,
    `${machine.platform} ${machine.arch}, ${plural(machine.cores, "core")}, ` +
      `${formatBytes(machine.availableBytes)} of ${formatBytes(machine.memoryBytes)} memory available`,
    formatCpu(machine.cpu),
    "",
    runtime.version === undefined ? `ONNX Runtime: ${runtime.problem}` : `ONNX Runtime ${runtime.version}, devices:`,
    ...runtime.devices.map(formatDevice),
    "",
    pictures.problem ??
      `Pictures: sharp ${pictures.sharp}, libvips ${pictures.libvips}, reads ${pictures.formats?.join(", ")}`,
    "",
    `Hub: ${hub.endpoint}${hub.offline ? ", offline mode is on" : ""}${hub.hasToken ? ", HF_TOKEN is set" : ""}`,
    `  cache ${hub.cache}: ${
      hub.freeBytes === undefined
        ? "doesn't exist yet"
        : `${plural(hub.models, "model")}, ${formatBytes(hub.freeBytes)} free`
    }`,
    "",
    ...formatCluster(cluster),
  ];
  return lines.join("\n");
}

function formatCluster({ slurm, mpi, shard, variables }: Diagnosis["cluster"]): string[] {
  return [
    `Cluster: ${slurm ?? "no Slurm"}, ${mpi ?? "no MPI launcher"}`,
    "problem" in shard ? `  --shard auto: ${shard.problem}` : `  --shard auto: ${shard.part}, by ${shard.source}`,
    ...Object.entries(variables).map(([name, value]) => `  ${name}=${value}`),
  ];
}

const SETS: Readonly<Record<CpuFacts["set"], string>> = { avx2: "AVX2", avx512: "AVX-512", neon: "NEON" };

function formatCpu(cpu: CpuFacts): string {
  const { set, int8, known } = cpu;
  if (!known) return `CPU: the system doesn't say what it has; taken as ${SETS[set]}`;
  const fastest = whyNotInt8(cpu);
  if (fastest !== undefined) return `CPU: ${SETS[set]}; ${fastest}`;
  return `CPU: ${SETS[set]}, for int8 ${int8.join(", ")}: int8 is the fastest type here`;
}

function formatDevice({ device, works, problem, hint }: DeviceDiagnosis): string {
  if (works) return `  ${device.padEnd(9)} works`;
  return `  ${device.padEnd(9)} no: ${problem}\n${" ".repeat(12)}${hint}`;
}

interface DeviceDiagnosis {
  readonly device: Device;
  readonly works: boolean;
  readonly problem?: string;
  /** What to do about the problem. */
  readonly hint?: string;
}

interface ClusterDiagnosis {
  /** Name and version; undefined where its commands or its configuration aren't here. */
  readonly slurm?: string;
  /** What `mpirun` says it is. */
  readonly mpi?: string;
  /** What `--shard auto` would take, or why it can't. */
  readonly shard: { readonly part: string; readonly source: string } | { readonly problem: string };
  /** What engines have set, of what dcae reads. */
  readonly variables: Readonly<Record<string, string>>;
}

export interface Diagnosis {
  readonly version: string;
  readonly node: { readonly version: string; readonly needed: string; readonly ok: boolean };
  readonly machine: {
    readonly platform: string;
    readonly arch: string;
    readonly cores: number;
    /** What this process may use, also inside of a container. */
    readonly memoryBytes: number;
    readonly availableBytes: number;
    /** What decides which form of a model is the fastest. */
    readonly cpu: CpuFacts;
  };
  readonly runtime: {
    readonly version?: string;
    readonly problem?: string;
    readonly devices: readonly DeviceDiagnosis[];
  };
  readonly pictures: {
    readonly sharp?: string;
    readonly libvips?: string;
    readonly formats?: readonly string[];
    readonly problem?: string;
  };
  readonly hub: {
    readonly cache: string;
    /** Models in the cache. */
    readonly models: number;
    /** On the disk of the cache; undefined while the folder doesn't exist. */
    readonly freeBytes?: number;
    readonly offline: boolean;
    readonly endpoint: string;
    readonly hasToken: boolean;
  };
  readonly cluster: ClusterDiagnosis;
  /** What keeps models from running at all; empty when all is well. */
  readonly blockers: readonly string[];
}

async function diagnose(): Promise<Diagnosis> {
  const node = {
    version: process.versions.node,
    needed: NEEDED_NODE,
    ok: isAtLeast(process.versions.node, NEEDED_NODE),
  };
  const runtime = await diagnoseRuntime();
  const pictures = await diagnosePictures();
  const cpu = runtime.devices.find(({ device }) => device === "cpu");
  const blockers = [
    ...(node.ok ? [] : [`Node ${NEEDED_NODE} or newer is needed`]),
    ...(cpu?.works === true ? [] : [`ONNX Runtime doesn't run: ${runtime.problem ?? cpu?.problem ?? "no CPU device"}`]),
    ...(pictures.problem === undefined ? [] : [pictures.problem]),
  ];
  const [machine, hub, cluster] = await Promise.all([diagnoseMachine(), diagnoseHub(), diagnoseCluster(process.env)]);
  return { version: VERSION, node, machine, runtime, pictures, hub, cluster, blockers };
}

/** Where Slurm's commands look for their configuration. */
const SLURM_CONFIGS = ["/etc/slurm/slurm.conf", "/run/slurm/conf/slurm.conf"];

/** Whether Slurm's commands know their cluster. Without a configuration even `--version` asks the name server for one. */
function knowsSlurm(env: Environment): boolean {
  return Object.keys(env).some((name) => name.startsWith("SLURM_")) || SLURM_CONFIGS.some((path) => existsSync(path));
}

/** What is set, installed and said of clusters. */
async function diagnoseCluster(env: Environment): Promise<ClusterDiagnosis> {
  const [slurm, mpi] = await Promise.all([
    knowsSlurm(env) ? firstLine("sinfo", ["--version"]) : undefined,
    firstLine("mpirun", ["--version"]),
  ]);
  const set = PLACE_VARIABLES.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]]));
  return {
    ...(slurm === undefined ? {} : { slurm }),
    ...(mpi === undefined ? {} : { mpi }),
    shard: shardOf(env),
    variables: Object.fromEntries(set),
  };
}

function shardOf(env: Environment): ClusterDiagnosis["shard"] {
  let place: ClusterPlace;
  try {
    place = clusterShard(env);
  } catch (error) {
    return { problem: errorMessage(error) };
  }
  return { part: formatPart(place), source: place.source };
}

/** What a program says first; undefined where it isn't here. MPICH's launcher tells its version in the second line. */
async function firstLine(program: string, args: readonly string[]): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)(program, [...args], { timeout: 5000 });
    const [first, second = ""] = stdout.trim().split("\n");
    return /^HYDRA/.test(first ?? "") ? `MPICH, ${second.trim().replace(/\s+/g, " ")}` : first;
  } catch {
    return undefined;
  }
}

function isAtLeast(version: string, needed: string): boolean {
  const [have, want] = [version, needed].map((text) => text.split(".").map(Number)) as [number[], number[]];
  for (const [i, part] of want.entries()) {
    if (have[i] !== part) return (have[i] ?? 0) > part;
  }
  return true;
}

async function diagnoseMachine(): Promise<Diagnosis["machine"]> {
  // A container's limit; without one it is 0 or larger than the machine's memory.
  const limit = process.constrainedMemory();
  const memoryBytes = limit > 0 ? Math.min(totalmem(), limit) : totalmem();
  return {
    platform: process.platform,
    arch: process.arch,
    cores: availableParallelism(),
    memoryBytes,
    availableBytes: Math.min(process.availableMemory(), memoryBytes),
    cpu: await cpuFacts(),
  };
}

async function diagnoseRuntime(): Promise<Diagnosis["runtime"]> {
  let version: string;
  try {
    version = await runtimeVersion();
  } catch (error) {
    return { problem: errorMessage(error), devices: [] };
  }
  const devices: DeviceDiagnosis[] = [];
  for (const device of NODE_DEVICES) {
    const problem = await probeDevice(device);
    devices.push(
      problem === undefined
        ? { device, works: true }
        : { device, works: false, problem: shorten(problem), hint: INSTALL_HINTS[device] },
    );
  }
  return { version, devices };
}

/** ONNX Runtime's messages begin with the place in its source and the condition that failed. */
function shorten(problem: string): string {
  return problem
    .trim()
    .replace(/\s*\n\s*/g, " ")
    .replace(/^\/.* was false\. /, "");
}

/** Formats that are supported, by libvips' names for them. */
const PICTURE_FORMATS: Readonly<Record<string, string>> = {
  gif: "GIF",
  heif: "AVIF",
  jpeg: "JPEG",
  png: "PNG",
  svg: "SVG",
  tiff: "TIFF",
  webp: "WebP",
};

async function diagnosePictures(): Promise<Diagnosis["pictures"]> {
  try {
    const { versions, format } = await loadSharp();
    const formats = Object.values(format).filter(({ id, input }) => input.buffer && id in PICTURE_FORMATS);
    const names = formats.map(({ id }) => PICTURE_FORMATS[id] as string).sort();
    return { sharp: versions.sharp ?? "?", libvips: versions.vips, formats: names };
  } catch (error) {
    const hint = error instanceof DcaeError && error.hint !== undefined ? `. ${error.hint}` : "";
    return { problem: `${errorMessage(error)}${hint}` };
  }
}

async function diagnoseHub(): Promise<Diagnosis["hub"]> {
  const cache = dirname(modelCacheFolder("any/model"));
  const names = await readdir(cache).catch(() => undefined);
  const space = names === undefined ? undefined : await statfs(cache).catch(() => undefined);
  const { HF_HUB_OFFLINE = "", HF_ENDPOINT, HF_TOKEN = "" } = process.env;
  return {
    cache,
    models: names?.filter((name) => name.startsWith("models--")).length ?? 0,
    ...(space === undefined ? {} : { freeBytes: space.bavail * space.bsize }),
    offline: /^(1|true|yes|on)$/i.test(HF_HUB_OFFLINE),
    endpoint: HF_ENDPOINT || "https://huggingface.co",
    hasToken: HF_TOKEN !== "",
  };
}

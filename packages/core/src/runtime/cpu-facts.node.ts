/**
 * What the CPU of this machine is good at, from what the system says of it: Linux lists instructions in /proc/cpuinfo, macOS has
 * sysctl, and where neither is there (Windows) the oldest set is taken that the runtime has fast kernels for.
 */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import type { InstructionSet } from "../graph/rewrite/cpu-costs.js";

/** What of a CPU decides which forms of a program are faster on it. */
export interface CpuFacts {
  /** Decides how convolutions compute in float32. */
  readonly set: InstructionSet;
  /** Instructions that multiply numbers of 8 bits several at a time, by their usual names: VNNI, AMX, the dot products of ARM. */
  readonly int8: readonly string[];
  /** Whether the system said so; otherwise it is assumed. */
  readonly known: boolean;
}

/** Instructions for numbers of 8 bits that ONNX Runtime has kernels for, by the names of Linux and macOS. */
const INT8_NAMES: Readonly<Record<string, string>> = {
  avx512_vnni: "AVX-512 VNNI",
  avx512vnni: "AVX-512 VNNI",
  avx_vnni: "AVX-VNNI",
  amx_int8: "AMX",
  asimddp: "dot product",
  i8mm: "matrix product (I8MM)",
  "hw.optional.arm.feat_dotprod": "dot product",
  "hw.optional.arm.feat_i8mm": "matrix product (I8MM)",
};

/** What a CPU is good at that has these instructions. @param arch as Node names it @param names in lower case */
export function factsOf(arch: string, names: ReadonlySet<string> | undefined): CpuFacts {
  const wide = names !== undefined && (names.has("avx512f") || names.has("avx512_f"));
  const set = arch === "arm64" ? "neon" : wide ? "avx512" : "avx2";
  const int8 = [...(names ?? [])].flatMap((name) => INT8_NAMES[name] ?? []);
  return { set, int8: [...new Set(int8)].sort(), known: names !== undefined };
}

/** The instructions in the text of /proc/cpuinfo; undefined where it lists none. */
export function instructionsOfCpuinfo(text: string): Set<string> | undefined {
  const line = /^(?:flags|Features)\s*:\s*(.+)$/m.exec(text)?.[1];
  return line === undefined ? undefined : new Set(line.toLowerCase().trim().split(/\s+/));
}

/** The instructions in what `sysctl hw.optional machdep.cpu` of macOS prints; undefined where it lists none. */
export function instructionsOfSysctl(text: string): Set<string> | undefined {
  const names = new Set<string>();
  for (const line of text.toLowerCase().split("\n")) {
    const [key = "", value = ""] = line.split(/:\s*/, 2) as [string, string?];
    if (key.startsWith("hw.optional.") && value.trim() === "1") names.add(key);
    if (/^machdep\.cpu\.(leaf7_)?features$/.test(key)) for (const name of value.trim().split(/\s+/)) names.add(name);
  }
  return names.size === 0 ? undefined : names;
}

async function readInstructions(): Promise<Set<string> | undefined> {
  try {
    if (process.platform === "linux") return instructionsOfCpuinfo(await readFile("/proc/cpuinfo", "utf8"));
    if (process.platform !== "darwin") return undefined;
    // Names that a machine doesn't have are an error, beside what is printed of the others.
    const { stdout } = await promisify(execFile)("/usr/sbin/sysctl", ["hw.optional", "machdep.cpu"]).catch(
      (error: { readonly stdout?: string }) => ({ stdout: error.stdout ?? "" }),
    );
    return instructionsOfSysctl(stdout);
  } catch {
    return undefined;
  }
}

let facts: Promise<CpuFacts> | undefined;

/** The facts of this machine, read once. */
export function cpuFacts(): Promise<CpuFacts> {
  facts ??= readInstructions().then((names) => factsOf(process.arch, names));
  return facts;
}

/** Why float32 is faster than int8 on a CPU, or undefined where int8 gains. */
export function whyNotInt8({ int8, known, set }: CpuFacts): string | undefined {
  if (int8.length > 0 || !known) return undefined;
  const missing = set === "neon" ? "dot products of 8 bits" : "VNNI";
  return `this CPU has no ${missing}: int8 takes longer than float32 here, and saves memory only`;
}

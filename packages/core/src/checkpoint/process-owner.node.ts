/** Which process something on disk belongs to, and whether that one still runs. */
import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { errorCode } from "./file-error.node.js";

export interface ProcessOwner {
  /** Where its number means that process: a hash of the machine's name and, on Linux, the namespace of process numbers. */
  readonly host: string;
  readonly pid: number;
  /** Clock ticks from the machine's start to the process's, since numbers are given again; "0" where that isn't told. */
  readonly started: string;
}

function thisHost(): string {
  let namespace = "";
  try {
    namespace = readlinkSync("/proc/self/ns/pid");
  } catch {
    // Linux alone has them.
  }
  return createHash("sha256").update(`${hostname()} ${namespace}`).digest("hex").slice(0, 8);
}

/** When process `pid` started; "0" where that isn't known. */
function startOf(pid: number): string {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in parentheses and may hold anything.
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19] ?? "0";
  } catch {
    return "0";
  }
}

let me: ProcessOwner | undefined;

export function thisProcess(): ProcessOwner {
  me ??= { host: thisHost(), pid: process.pid, started: startOf(process.pid) };
  return me;
}

/** Whether a process of this machine has the number `pid`. */
export function isRunning(pid: number): boolean {
  // 0 and negative numbers mean groups of processes.
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) === "EPERM";
  }
}

/** "unknown" for processes of other machines and containers. */
export function stateOf({ host, pid, started }: ProcessOwner): "running" | "ended" | "unknown" {
  if (host !== thisProcess().host) return "unknown";
  if (!isRunning(pid)) return "ended";
  const now = startOf(pid);
  return now === "0" || started === "0" || now === started ? "running" : "ended";
}

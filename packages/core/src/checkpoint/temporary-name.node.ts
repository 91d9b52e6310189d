/**
 * Names of files and folders that are being written, and what becomes of those whose process was killed.
 *
 * A name says which process made it, so that a later one, which writes into the same folder, can tell what was left behind
 * from what another process is writing just now.
 */
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { lstat, opendir, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { errorCode } from "./file-source.node.js";

/** Which process something on disk belongs to. */
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

/** State of process `pid` and when it started; undefined where the system doesn't tell. */
function statOf(pid: number): { readonly state: string; readonly started: string } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in parentheses and may hold anything.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0] ?? "", started: fields[19] ?? "0" };
  } catch {
    return undefined;
  }
}

/** When process `pid` started; "0" where that isn't known. */
const startOf = (pid: number): string => statOf(pid)?.started ?? "0";

/** States of processes that have ended, and whose parent hasn't asked how: in containers it may never do so. */
const ENDED_STATES = ["Z", "X"];

let me: ProcessOwner | undefined;

/** What names this process among all of this and other machines. */
export function thisProcess(): ProcessOwner {
  me ??= { host: thisHost(), pid: process.pid, started: startOf(process.pid) };
  return me;
}

/** Whether a process of this machine has the number `pid`, and hasn't ended. */
export function isRunning(pid: number): boolean {
  // 0 and negative numbers mean groups of processes.
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (errorCode(error) !== "EPERM") return false;
  }
  return !ENDED_STATES.includes(statOf(pid)?.state ?? "");
}

/** "unknown" for processes of other machines and containers. */
export function stateOf({ host, pid, started }: ProcessOwner): "running" | "ended" | "unknown" {
  if (host !== thisProcess().host) return "unknown";
  if (!isRunning(pid)) return "ended";
  const now = startOf(pid);
  return now === "0" || started === "0" || now === started ? "running" : "ended";
}

/** File names may have 255 bytes, and a character up to three of them; the rest of a temporary name has about 60. */
const MAX_STEM_LENGTH = 60;
const NAME = /^\.(.+)\.([0-9a-f]{8})-(\d{1,10})-(\d{1,20})-[0-9a-f]{12}\.(tmp|old)$/s;
/** Of another machine nobody knows whether the process runs, but what is being written changes all the time. */
const FOREIGN_AGE_MILLISECONDS = 24 * 3600 * 1000;

function stemOf(target: string): string {
  return basename(target).slice(0, MAX_STEM_LENGTH);
}

function hiddenName(target: string, ending: "tmp" | "old"): string {
  const { host, pid, started } = thisProcess();
  const random = randomBytes(6).toString("hex");
  return join(dirname(target), `.${stemOf(target)}.${host}-${pid}-${started}-${random}.${ending}`);
}

/** A hidden name beside `target` that no other process uses, for content that isn't complete. */
export function temporaryName(target: string): string {
  return hiddenName(target, "tmp");
}

/** The same for what is moved out of the way of something new: it may be the only copy, and is never taken for a leftover. */
export function replacedName(target: string): string {
  return hiddenName(target, "old");
}

interface HiddenName {
  readonly stem: string;
  readonly owner: ProcessOwner;
  readonly ending: string;
}

function parseName(name: string): HiddenName | undefined {
  const [, stem, host, pid, started, ending] = NAME.exec(name) ?? [];
  if (stem === undefined || host === undefined || started === undefined || ending === undefined) return undefined;
  return { stem, owner: { host, pid: Number(pid), started }, ending };
}

/**
 * The name that a file or folder was going to have (its first 60 characters), or undefined when `name` isn't a temporary
 * one. Where a lock says that no other process writes, everything of that kind is left over.
 */
export function temporaryStem(name: string): string | undefined {
  const parsed = parseName(name);
  return parsed?.ending === "tmp" ? parsed.stem : undefined;
}

/** Whether `name` is what a killed process had moved out of the way of `target`. */
export function isReplaced(name: string, target: string): boolean {
  const parsed = parseName(name);
  // Of a longer name only a part is there.
  if (parsed?.ending !== "old" || parsed.stem !== basename(target)) return false;
  return stateOf(parsed.owner) === "ended";
}

async function isLeftOver(path: string, owner: ProcessOwner): Promise<boolean> {
  const state = stateOf(owner);
  if (state === "running") return false;
  const { mtimeMs, uid } = await lstat(path);
  // In folders that everybody writes to, what others left is theirs to remove.
  if (process.getuid !== undefined && uid !== process.getuid()) return false;
  return state === "ended" || Date.now() - mtimeMs > FOREIGN_AGE_MILLISECONDS;
}

/** Folders that this process has cleaned; what is left behind meanwhile is for the next one. */
const cleaned = new Set<string>();

/**
 * Removes what killed processes left in a folder: temporary files and folders whose process has ended, or, where it ran on
 * another machine, that haven't changed for a day. Once per folder and process; a folder that can't be read is left alone.
 */
export async function removeLeftovers(folder: string): Promise<void> {
  const path = resolve(folder);
  if (cleaned.has(path)) return;
  cleaned.add(path);
  try {
    for await (const { name } of await opendir(path)) {
      const parsed = parseName(name);
      if (parsed?.ending !== "tmp") continue;
      const entry = join(path, name);
      // Another process may be removing it as well.
      const isOld = await isLeftOver(entry, parsed.owner).catch(() => false);
      if (isOld) await rm(entry, { recursive: true, force: true }).catch(() => undefined);
    }
  } catch {
    // Tidying up is no reason to fail: what is wrong with the folder, writing into it tells.
  }
}

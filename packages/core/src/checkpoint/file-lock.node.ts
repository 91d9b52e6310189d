/**
 * A lock among the processes that share a folder, on one machine or on many.
 *
 * It is a file that says which process holds it: its number, its machine and, where the system tells (Linux), its start time, since a
 * number may be given to another process. Of a process of this machine it is known whether it lives. One elsewhere gives signs of life: it
 * writes its file again every few seconds, so that a machine that is gone doesn't hold a lock for ever. How old the last sign is
 * the file system's own clock says, by a file made just now: clocks of two machines needn't agree.
 *
 * The file is written under another name and linked to its own, so that it appears with its content.
 */
import { createHash, randomBytes } from "node:crypto";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { link, mkdir, open, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { DataError } from "../errors.js";
import { errorCode, fileError } from "./file-source.node.js";
import { removeFile } from "./remove-file.node.js";
import { renameFile } from "./rename-file.node.js";
import { stateOf, thisProcess } from "./temporary-name.node.js";

export interface LockOwner {
  readonly pid: number;
  /** The machine's name. */
  readonly host: string;
  /** null where the system doesn't tell. */
  readonly started: string | null;
  /** `ProcessOwner.host`: machines and containers of one name have their own numbers of processes. Earlier versions didn't note it. */
  readonly numbers?: string;
  /** Seconds without a sign of life after which the lock counts for nothing. Earlier versions gave none. */
  readonly expires?: number;
}

export interface FileLock {
  /** Whether this process holds it still; it is taken again where somebody removed the file alone. */
  check(): Promise<boolean>;
  /** Gives it back. */
  release(): Promise<void>;
}

export interface LockOptions {
  /** Seconds without a sign of life after which other machines may take the lock (default 120). */
  readonly expires?: number;
  /** Seconds between signs of life (default an eighth of that). */
  readonly beat?: number;
}

function thisOwner(expires: number): LockOwner {
  const { pid, host, started } = thisProcess();
  return { pid, host: hostname(), started, numbers: host, expires };
}

/** @param age of the last sign of life, in seconds */
function isAlive({ pid, host, started, numbers = thisProcess().host, expires }: LockOwner, age: number): boolean {
  const state = host === hostname() ? stateOf({ host: numbers, pid, started: started ?? "0" }) : "unknown";
  if (state === "unknown" && expires !== undefined) return age < expires;
  return state !== "ended";
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

function parseOwner(text: string): LockOwner | undefined {
  try {
    const owner = JSON.parse(text) as Partial<LockOwner> | null;
    return typeof owner?.pid === "number" && typeof owner.host === "string" ? (owner as LockOwner) : undefined;
  } catch {
    return undefined; // torn, as it is left where a process is killed and links don't exist
  }
}

const aside = (path: string) => `${path}.${randomBytes(6).toString("hex")}.tmp`;

/** Errors of file systems without hard links (FAT, some network drives). */
const NO_LINKS = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"]);

/** Makes the lock with its content in one step. @returns false where there is one already */
async function place(path: string, text: string): Promise<boolean> {
  const temporary = aside(path);
  await writeFile(temporary, text, { flag: "wx" });
  try {
    await link(temporary, path);
    return true;
  } catch (error) {
    const code = errorCode(error) ?? "";
    // Without its file, another process has taken the lock and cleaned up.
    if (code === "EEXIST" || code === "ENOENT") return false;
    if (!NO_LINKS.has(code)) throw error;
  } finally {
    await removeFile(temporary);
  }
  // Here the file is empty for a moment; who finds it so looks again.
  return createOnce(path, text);
}

/** Makes a file that isn't there. @returns false where it is */
async function createOnce(path: string, text: string): Promise<boolean> {
  try {
    await writeFile(path, text, { flag: "wx" });
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    throw error;
  }
}

/**
 * Makes sure that the file system lets a file be made only once: some that stand on object stores don't, and there two processes
 * would hold one lock.
 *
 * @param path of the lock: it is tried beside it
 * @throws DataError
 */
export async function checkLocking(path: string, create: typeof createOnce = createOnce): Promise<void> {
  const probe = aside(path);
  await create(probe, "");
  const isAgain = await create(probe, "").finally(() => removeFile(probe));
  if (!isAgain) return;
  throw new DataError(`${path}: locks don't work on this file system: a file that is there could be made again`, {
    hint: "Write to a file system that POSIX programs share (NFS, Lustre, EFS), not to a mounted object store.",
  });
}

const REMOVAL_WAIT_MILLISECONDS = 20;

/**
 * Removes the lock `text` of a process that is gone, and not one that another process made since: of all who found it, one at a time.
 * Without that, one who is late would take the new lock away for a moment, and a third could take the place.
 */
async function removeStale(path: string, text: string): Promise<void> {
  const turn = `${path}.${createHash("sha256").update(text).digest("hex").slice(0, 12)}.tmp`;
  if (!(await createOnce(turn, ""))) {
    if (await isAbandoned(turn)) await removeFile(turn);
    else await wait(REMOVAL_WAIT_MILLISECONDS);
    return;
  }
  try {
    if ((await readText(path)) === text) await moveAway(path, text);
  } finally {
    await removeFile(turn);
  }
}

/** Under a name of its own first: where its turn was taken from it meanwhile, the file may be another one by now. */
async function moveAway(path: string, text: string): Promise<void> {
  const moved = aside(path);
  try {
    await renameFile(path, moved);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return;
    throw error;
  }
  const now = await readText(moved);
  if (now !== text) await link(moved, path).catch(() => undefined);
  await removeFile(moved);
}

/** Seconds since a file was last written, by the clock of its file system; infinite where it is gone. */
async function ageOf(path: string): Promise<number> {
  const probe = aside(path);
  try {
    await writeFile(probe, "", { flag: "wx" });
    const [now, then] = await Promise.all([stat(probe), stat(path)]);
    return (now.mtimeMs - then.mtimeMs) / 1000;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return Number.POSITIVE_INFINITY;
    throw error;
  } finally {
    await removeFile(probe);
  }
}

/** How long a process may take for what it makes files for beside a lock; after that it counts as gone. */
const ASIDE_SECONDS = 10;

/** Not where the file is gone: one of that name would be another's. */
async function isAbandoned(path: string): Promise<boolean> {
  const age = await ageOf(path);
  return age > ASIDE_SECONDS && age < Number.POSITIVE_INFINITY;
}

/** How long a lock may be empty, where it can't be linked. */
const TORN_MILLISECONDS = 200;

/** What of `text` a process holds the lock by; undefined where it is gone. */
async function livingOwner(path: string, text: string): Promise<LockOwner | undefined> {
  let owner = parseOwner(text);
  if (owner === undefined) {
    await wait(TORN_MILLISECONDS);
    owner = parseOwner((await readText(path)) ?? "");
  }
  return owner !== undefined && isAlive(owner, await ageOf(path)) ? owner : undefined;
}

/** Who holds a lock; undefined where it is free, or its process gone. */
export async function lockOwner(path: string): Promise<LockOwner | undefined> {
  const text = await readText(path);
  return text === undefined ? undefined : livingOwner(path, text);
}

/** "process 12 on node3" */
export const describeOwner = ({ pid, host }: LockOwner): string => `process ${pid} on ${host}`;

const MAX_ATTEMPTS = 20;

/**
 * Takes a lock, whose folder is made where it doesn't exist, and gives signs of life until it is given back.
 *
 * @returns the lock, or who has it; "unknown" where others took it again and again
 * @throws DataError where the file can't be written, and on a file system on which locks don't work
 */
export async function takeLock(path: string, options: LockOptions = {}): Promise<FileLock | LockOwner | "unknown"> {
  const { expires = 120, beat = expires / 8 } = options;
  const mine = JSON.stringify({ ...thisOwner(expires), key: randomBytes(6).toString("hex") });
  const folder = dirname(path);
  try {
    await mkdir(folder, { recursive: true });
    await checkLocking(path);
    for (let attempt = 0; !(await place(path, mine)); attempt++) {
      const text = await readText(path);
      const owner = text === undefined ? undefined : await livingOwner(path, text);
      if (owner !== undefined) return owner;
      if (attempt >= MAX_ATTEMPTS) return "unknown";
      if (text !== undefined) await removeStale(path, text);
    }
    await removeLeftovers(path);
  } catch (error) {
    throw fileError(error, path, "write");
  }
  return holdLock(path, mine, beat);
}

/** Removes what processes left that died in here. Files of those who live stay: a test of the file system needs its own. */
async function removeLeftovers(path: string): Promise<void> {
  const folder = dirname(path);
  for (const name of await readdir(folder)) {
    const file = join(folder, name);
    if (isAside(name, path) && (await isAbandoned(file))) await removeFile(file);
  }
}

const isAside = (name: string, path: string) =>
  name.startsWith(`${basename(path)}.`) && /^\.[0-9a-f]{12}\.tmp$/.test(name.slice(basename(path).length));

function holdLock(path: string, mine: string, beat: number): FileLock {
  // An error that nobody catches ends the process without giving locks back.
  const onExit = () => {
    if (existsSync(path) && readFileSync(path, "utf8") === mine) rmSync(path, { force: true });
  };
  process.once("exit", onExit);
  // A sign that fails is followed by another; whether the lock is held still, `check` tells.
  const timer = setInterval(() => void signOfLife(path, mine).catch(() => undefined), 1000 * beat);
  timer.unref();
  return {
    async check() {
      const text = await readText(path);
      if (text === mine) return true;
      const isThere = (await stat(dirname(path)).catch(() => undefined)) !== undefined;
      return text === undefined && isThere && (await place(path, mine));
    },
    async release() {
      clearInterval(timer);
      process.off("exit", onExit);
      if ((await readText(path)) === mine) await removeFile(path);
    },
  };
}

/**
 * Writes the content again: the time is then the file system's, and not this machine's. One open file is read and written, so that a
 * lock that another process makes meanwhile, which is another file, stays as it is.
 */
async function signOfLife(path: string, mine: string): Promise<void> {
  const file = await open(path, "r+");
  try {
    if ((await file.readFile("utf8")) === mine) await file.write(mine, 0);
  } finally {
    await file.close();
  }
}

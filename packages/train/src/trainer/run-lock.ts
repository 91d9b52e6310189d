/**
 * One process per run: two that write the same metrics and checkpoints would spoil both.
 *
 * The lock is a file with the process's id and, where the system tells (Linux), its start time: a number that was given to another
 * process since, as after a restart of the machine, doesn't hold the lock. So a run that was killed never blocks its own resumption.
 * The file is written under another name and linked to its own, so that it appears with its content.
 */
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { link, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { errorCode, fileError, stateOf, thisProcess } from "@dcae/core/checkpoint";
import { ConfigError, DataError } from "@dcae/core/graph";

interface Owner {
  readonly pid: number;
  /** The machine's name. */
  readonly host: string;
  /** null where the system doesn't tell. */
  readonly started: string | null;
  /** `ProcessOwner.host`: machines and containers of one name have their own numbers of processes. Earlier versions didn't note it. */
  readonly numbers?: string;
}

function thisOwner(): Owner {
  const { pid, host, started } = thisProcess();
  return { pid, host: hostname(), started, numbers: host };
}

/** Of processes elsewhere it can't be told from here. */
function isAlive({ pid, host, started, numbers = thisProcess().host }: Owner): boolean {
  return host !== hostname() || stateOf({ host: numbers, pid, started: started ?? "0" }) !== "ended";
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

function parseOwner(text: string): Owner | undefined {
  try {
    const owner = JSON.parse(text) as Partial<Owner> | null;
    return typeof owner?.pid === "number" && typeof owner.host === "string" ? (owner as Owner) : undefined;
  } catch {
    return undefined; // torn, as earlier versions left it when they were killed
  }
}

const LOCK = "run.lock";
const aside = (folder: string) => join(folder, `${LOCK}.${randomBytes(6).toString("hex")}.tmp`);
const ASIDE = /^run\.lock\.[0-9a-f]{12}\.tmp$/;

/** Errors of file systems without hard links (FAT, some network drives). */
const NO_LINKS = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"]);

/** Makes the lock with its content in one step. @returns false where there is one already */
async function place(folder: string, text: string): Promise<boolean> {
  const path = join(folder, LOCK);
  const temporary = aside(folder);
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
    await rm(temporary, { force: true });
  }
  // Here the file is empty for a moment; who finds it so looks again.
  try {
    await writeFile(path, text, { flag: "wx" });
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    throw error;
  }
}

/** Removes the lock `text` of a process that is gone, and not one that another process made since. */
async function removeStale(folder: string, text: string): Promise<void> {
  const path = join(folder, LOCK);
  const moved = aside(folder);
  try {
    await rename(path, moved);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return;
    throw error;
  }
  if ((await readText(moved)) !== text) await link(moved, path).catch(() => undefined);
  await rm(moved, { force: true });
}

/** What of `text` a process holds the lock by; undefined where it is gone. */
async function ownerOf(path: string, text: string): Promise<Owner | undefined> {
  const owner = parseOwner(text);
  if (owner !== undefined) return isAlive(owner) ? owner : undefined;
  await wait(TORN_MILLISECONDS);
  const again = parseOwner((await readText(path)) ?? "");
  return again !== undefined && isAlive(again) ? again : undefined;
}

/** How long a lock may be empty, where it can't be linked. */
const TORN_MILLISECONDS = 200;
const MAX_ATTEMPTS = 20;

export interface RunLock {
  /** @throws DataError when the folder was removed, or another process has taken the lock */
  check(): Promise<void>;
  /** Gives the lock back. */
  release(): Promise<void>;
}

/**
 * Takes the lock of the run in `folder`, which is made where it doesn't exist.
 *
 * @throws ConfigError when another process has it
 */
export async function lockRun(folder: string): Promise<RunLock> {
  const path = join(folder, LOCK);
  const mine = JSON.stringify({ ...thisOwner(), key: randomBytes(6).toString("hex") });
  try {
    await mkdir(folder, { recursive: true });
    for (let attempt = 0; !(await place(folder, mine)); attempt++) {
      const text = await readText(path);
      const owner = text === undefined ? undefined : await ownerOf(path, text);
      if (owner !== undefined || attempt >= MAX_ATTEMPTS) {
        const who = owner === undefined ? "another process" : `process ${owner.pid} on ${owner.host}`;
        throw new ConfigError(`${folder}: ${who} is training in this folder`, {
          hint: `Wait for it, stop it, or remove ${path} if it is gone.`,
        });
      }
      if (text !== undefined) await removeStale(folder, text);
    }
    for (const name of await readdir(folder)) if (ASIDE.test(name)) await rm(join(folder, name), { force: true });
  } catch (error) {
    throw fileError(error, path, "write");
  }
  // An error that nobody catches ends the process without giving locks back.
  const onExit = () => {
    if (existsSync(path) && readFileSync(path, "utf8") === mine) rmSync(path, { force: true });
  };
  process.once("exit", onExit);
  return {
    async check() {
      const text = await readText(path);
      if (text === mine) return;
      const isThere = (await stat(folder).catch(() => undefined)) !== undefined;
      // Who removed the lock alone may have done so by our own advice.
      if (text === undefined && isThere && (await place(folder, mine))) return;
      throw new DataError(
        isThere ? `${folder}: another process trains in this folder now` : `${folder}: was removed during the run`,
        { hint: "Updates since its last checkpoint are lost; start again in a folder of its own." },
      );
    },
    async release() {
      process.off("exit", onExit);
      if ((await readText(path)) === mine) await rm(path, { force: true });
    },
  };
}

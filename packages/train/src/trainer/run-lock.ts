/**
 * One process per run: two that write the same metrics and checkpoints would spoil both.
 *
 * The lock is a file with the process's id and, where the system tells (Linux), its start time: a number that was given to another
 * process since, as after a restart of the machine, doesn't hold the lock. So a run that was killed never blocks its own resumption.
 */
import { readFileSync, rmSync } from "node:fs";
import { mkdir, open, readFile, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { errorCode, fileError } from "@dcae/core/checkpoint";
import { ConfigError } from "@dcae/core/graph";

interface Owner {
  readonly pid: number;
  readonly host: string;
  /** null where the system doesn't tell. */
  readonly started: string | null;
}

/** When process `pid` started, in ticks since the machine did; null where that isn't known. */
function startOf(pid: number): string | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in parentheses and may hold anything.
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19] ?? null;
  } catch {
    return null;
  }
}

function isAlive({ pid, host, started }: Owner): boolean {
  if (host !== hostname()) return true; // can't be told from here
  try {
    process.kill(pid, 0);
  } catch (error) {
    return errorCode(error) === "EPERM";
  }
  return started === null || startOf(pid) === null || startOf(pid) === started;
}

async function readOwner(path: string): Promise<Owner | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as Owner;
  } catch {
    return undefined; // gone, or torn when its writer was killed
  }
}

/**
 * Takes the lock of the run in `folder`.
 *
 * @returns a function that gives it back
 * @throws ConfigError when another process has it
 */
export async function lockRun(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, "run.lock");
  const me: Owner = { pid: process.pid, host: hostname(), started: startOf(process.pid) };
  try {
    await mkdir(folder, { recursive: true });
    for (let attempt = 0; ; attempt++) {
      try {
        const handle = await open(path, "wx");
        await handle.writeFile(JSON.stringify(me));
        await handle.close();
        break;
      } catch (error) {
        if (errorCode(error) !== "EEXIST" || attempt > 2) throw error;
        const owner = await readOwner(path);
        if (owner !== undefined && isAlive(owner)) {
          throw new ConfigError(`${folder}: process ${owner.pid} on ${owner.host} is training in this folder`, {
            hint: `Wait for it, stop it, or remove ${path} if it is gone.`,
          });
        }
        await rm(path, { force: true });
      }
    }
  } catch (error) {
    throw fileError(error, path, "write");
  }
  // An error that nobody catches ends the process without giving locks back.
  const onExit = () => rmSync(path, { force: true });
  process.once("exit", onExit);
  return async () => {
    process.off("exit", onExit);
    await rm(path, { force: true });
  };
}

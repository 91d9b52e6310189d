/**
 * One process for each part of a job that many share in one folder. Parts write complete files with the same bytes whoever computes
 * them, so that two processes on one part would do no harm, only the work twice; the lock spares that. A task that an engine started
 * again while the first one still runs waits for it, and then finds everything done.
 */
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { describeOwner, type FileLock, type LockOptions, lockOwner, takeLock } from "../checkpoint/file-lock.node.js";
import { fileError } from "../checkpoint/file-source.node.js";
import { removeFile } from "../checkpoint/remove-file.node.js";
import { ConfigError } from "../errors.js";

/** A part of a job. */
export interface JobPart {
  /** From 0. */
  readonly index: number;
  readonly count: number;
}

export interface HoldOptions extends LockOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told once, when another process has the part: "process 12 on node3". */
  readonly onWait?: ((owner: string) => void) | undefined;
}

/** "3/8", as on the command line. */
export const formatPart = ({ index, count }: JobPart): string => `${index + 1}/${count}`;

const lockName = ({ index, count }: JobPart) => `.shard-${index + 1}-of-${count}.lock`;
const LOCK_NAME = /^\.shard-(\d+)-of-(\d+)\.lock$/;
const LOOK_MILLISECONDS = 500;

/**
 * Runs `work` while this process has the part, after any other that has it.
 *
 * @param folder of the job; it is made where it doesn't exist
 * @throws ConfigError for a part that doesn't exist, and while parts of another count are at work in the folder; DataError where locks
 *   can't be written or don't work; the signal's reason
 */
export async function holdShard<T>(
  folder: string,
  part: JobPart,
  options: HoldOptions,
  work: () => Promise<T>,
): Promise<T> {
  checkPart(part);
  await refuseOtherCount(folder, part);
  const lock = await waitForLock(join(folder, lockName(part)), options);
  try {
    // Two that came at the same moment have both seen nothing before.
    await refuseOtherCount(folder, part);
    return await work();
  } finally {
    await lock.release();
  }
}

/** @throws ConfigError */
export function checkPart({ index, count }: JobPart): void {
  if (Number.isInteger(index) && Number.isInteger(count) && index >= 0 && index < count) return;
  throw new ConfigError(`part ${index} of ${count}: the index must be from 0 to one less than the count`);
}

/** Runs `work` with the lock at `path`, which others wait for. */
export async function holdLock<T>(path: string, options: HoldOptions, work: () => Promise<T>): Promise<T> {
  const lock = await waitForLock(path, options);
  try {
    return await work();
  } finally {
    await lock.release();
  }
}

async function waitForLock(path: string, { signal, onWait, ...options }: HoldOptions): Promise<FileLock> {
  for (let look = 0; ; look++) {
    signal?.throwIfAborted();
    const lock = await takeLock(path, options);
    if (lock !== "unknown" && !("pid" in lock)) return lock;
    if (look === 0) onWait?.(lock === "unknown" ? "another process" : describeOwner(lock));
    await wait(LOOK_MILLISECONDS, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
  }
}

/** A folder whose parts are counted in two ways has a mistake in one of the command lines. */
async function refuseOtherCount(folder: string, part: JobPart): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    for (const name of await readdir(folder)) {
      const [, number, count] = LOCK_NAME.exec(name) ?? [];
      if (number === undefined || Number(count) === part.count) continue;
      const path = join(folder, name);
      const owner = await lockOwner(path);
      if (owner === undefined) {
        // Of a process that was killed, whose part nobody took again.
        await removeFile(path);
        continue;
      }
      throw new ConfigError(
        `${folder}: shard ${formatPart(part)} doesn't fit: ${describeOwner(owner)} works on ${number}/${count} there`,
        { hint: "All processes of one folder must divide the work by the same number; wait for it, or stop it." },
      );
    }
  } catch (error) {
    throw fileError(error, folder, "write");
  }
}

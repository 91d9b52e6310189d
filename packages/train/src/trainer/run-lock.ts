/** One process per run: two that write the same metrics and checkpoints would spoil both. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError, DataError } from "@dcae/core/graph";
import { describeOwner, takeLock } from "@dcae/core/internal";

const LOCK = "run.lock";

/** An update may keep the thread for minutes, in which no sign of life is given. */
const EXPIRES_SECONDS = 1800;
const BEAT_SECONDS = 15;

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
  const lock = await takeLock(path, { expires: EXPIRES_SECONDS, beat: BEAT_SECONDS });
  if (lock === "unknown" || "pid" in lock) {
    const who = lock === "unknown" ? "another process" : describeOwner(lock);
    throw new ConfigError(`${folder}: ${who} is training in this folder`, {
      hint: `Wait for it, stop it, or remove ${path} if it is gone.`,
    });
  }
  return {
    async check() {
      if (await lock.check()) return;
      const isThere = (await stat(folder).catch(() => undefined)) !== undefined;
      throw new DataError(
        isThere ? `${folder}: another process trains in this folder now` : `${folder}: was removed during the run`,
        { hint: "Updates since its last checkpoint are lost; start again in a folder of its own." },
      );
    },
    release: () => lock.release(),
  };
}

/**
 * `rename`, which on Windows waits where something has the file or folder open for a moment: search indexers and virus scanners look into
 * what was just written, and a rename fails meanwhile. Other systems rename what is open.
 */
import { rename } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import { errorCode } from "./file-source.node.js";

/** What Windows says of names that are in use. */
const IN_USE = ["EPERM", "EACCES", "EBUSY"];
/** Milliseconds before each further attempt: in all, what a scanner needs for a large file. */
const PAUSES: readonly number[] = [10, 20, 50, 100, 200, 500, 1000, 2000];

/** @param move what renames, for tests */
export function renameFile(
  from: string,
  to: string,
  { platform = process.platform, move = rename, pauses = PAUSES } = {},
): Promise<void> {
  return whenFree(() => move(from, to), platform, pauses);
}

/** Does on Windows what fails while something is in use once it is free; elsewhere at once. */
export async function whenFree(
  action: () => Promise<void>,
  platform: NodeJS.Platform = process.platform,
  pauses: readonly number[] = PAUSES,
): Promise<void> {
  for (const pause of pauses) {
    try {
      return await action();
    } catch (error) {
      if (platform !== "win32" || !IN_USE.includes(errorCode(error) ?? "")) throw error;
    }
    await wait(pause);
  }
  return action();
}

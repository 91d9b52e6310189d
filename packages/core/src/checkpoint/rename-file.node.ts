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
const PAUSES = [10, 20, 50, 100, 200, 500, 1000, 2000];

/** @param move what renames, for tests */
export async function renameFile(
  from: string,
  to: string,
  { platform = process.platform, move = rename, pauses = PAUSES as readonly number[] } = {},
): Promise<void> {
  for (const pause of pauses) {
    try {
      return await move(from, to);
    } catch (error) {
      if (platform !== "win32" || !IN_USE.includes(errorCode(error) ?? "")) throw error;
    }
    await wait(pause);
  }
  return move(from, to);
}

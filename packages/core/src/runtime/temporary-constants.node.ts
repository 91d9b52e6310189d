/**
 * A folder among the system's temporary files that holds what one program computes from its weights, while it is loaded.
 *
 * The runtime maps the files, so they lose their names as soon as it has them; Windows keeps mapped files until the program
 * is disposed. What a killed process left there, the next one removes.
 */
import { rmSync } from "node:fs";
import { mkdir, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { errorCode, fileError } from "../checkpoint/file-error.node.js";
import { removeLeftovers, temporaryName } from "../checkpoint/temporary-name.node.js";
import { DataError, errorMessage } from "../errors.js";
import { type ConstantFiles, writeGroup } from "./program-constants.js";
import { readRange } from "./read-range.node.js";

/** What is smaller costs more to store than the runtime's way of computing it costs memory. */
const MIN_BYTES = 2 ** 20;
const HINT = "It is the system's folder for temporary files; name another one with TMPDIR, or use a program cache.";

export function temporaryConstants(): ConstantFiles {
  let folder: string | undefined;
  let files = 0;

  async function makeFolder(): Promise<string> {
    await removeLeftovers(tmpdir());
    const made = temporaryName(join(tmpdir(), "dcae-constants"));
    await mkdir(made, { mode: 0o700 });
    process.once("exit", removeAtExit);
    return made;
  }

  function removeAtExit(): void {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }

  async function remove(): Promise<void> {
    if (folder === undefined) return;
    try {
      await rm(folder, { recursive: true, force: true });
    } catch (error) {
      if (process.platform === "win32" && ["EBUSY", "EPERM", "EACCES"].includes(errorCode(error) ?? "")) return;
      throw fileError(error, folder, "write", DataError);
    }
    process.off("exit", removeAtExit);
    folder = undefined;
  }

  return {
    minBytes: MIN_BYTES,
    async store(group, _weights, compute) {
      const tensors = await compute();
      try {
        folder ??= await makeFolder();
        const name = String(files++);
        const path = join(folder, name);
        const file = await open(path, "wx");
        try {
          await writeGroup(group, tensors, (bytes) => file.writeFile(bytes));
        } finally {
          await file.close();
        }
        return { name, path, read: (offset, byteLength) => readRange(path, offset, byteLength) };
      } catch (error) {
        throw new DataError(errorMessage(fileError(error, folder ?? tmpdir(), "write")), { cause: error, hint: HINT });
      }
    },
    loaded: remove,
    close: remove,
  };
}

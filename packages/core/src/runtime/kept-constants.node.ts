/**
 * A folder that keeps what programs compute from their weights when they are loaded: transformed filters, weights in another
 * dtype, joined weights.
 *
 * What is computed from the same weights is a file under the hash of what it was computed from (the expressions, and the content
 * of the weights), so that programs for all sizes and all processes share it, and a changed checkpoint or rewrite never meets
 * old results. The runtime maps these files like a checkpoint: no copy in memory, and loading takes no time. Files end with
 * the hash of their content; damaged ones are made again.
 */
import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import { mkdir, open, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { env } from "onnxruntime-common";
import { writeFileAtomic } from "../checkpoint/atomic-file.node.js";
import { errorCode, fileError } from "../checkpoint/file-source.node.js";
import { removeLeftovers, temporaryName } from "../checkpoint/temporary-name.node.js";
import type { Weights } from "../checkpoint/weights.js";
import { DataError, DcaeError, errorMessage } from "../errors.js";
import { parametersOf } from "../graph/analyze.js";
import { describeExpressions } from "../graph/rewrite/constant-roots.js";
import type { Value } from "../graph/value.js";
import { findEntry } from "./bind-weights.js";
import { type FileFacts, openCacheFolder, readRange } from "./file-facts.node.js";
import {
  type Compute,
  type ConstantFile,
  type ConstantFiles,
  type ConstantGroup,
  writeGroup,
} from "./program-constants.js";

/** Changes when results are stored or described in another way. */
const FORMAT = 2;
const HASH_BYTES = 32;
const CHUNK_BYTES = 4 * 2 ** 20;

async function hashRange(path: string, offset: number, byteLength: number): Promise<string> {
  const hash = createHash("sha256");
  const handle = await open(path, "r");
  try {
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, byteLength));
    for (let done = 0; done < byteLength; ) {
      const wanted = Math.min(chunk.length, byteLength - done);
      const { bytesRead } = await handle.read(chunk, 0, wanted, offset + done);
      if (bytesRead === 0) throw new DataError(`${path}: the file ended while it was read`);
      hash.update(chunk.subarray(0, bytesRead));
      done += bytesRead;
    }
  } finally {
    await handle.close();
  }
  return hash.digest("hex");
}

const readTail = async (path: string, offset: number): Promise<string> =>
  Buffer.from(await readRange(path, offset, HASH_BYTES)).toString("hex");

/** Identifies the content of weights. */
export function weightIdentities(weights: Weights, facts: FileFacts): (name: string) => Promise<string> {
  const known = new Map<string, Promise<string>>();
  async function find(name: string): Promise<string> {
    const { location, dtype, read } = findEntry(name, weights);
    if (location === undefined) {
      const { bytes } = await read();
      return `${dtype} ${createHash("sha256").update(bytes).digest("hex")}`;
    }
    const { path, offset, byteLength } = location;
    // Hashing the file once is faster than its pieces in any order, and is remembered.
    const content = await facts.get(path, async () => hashRange(path, 0, (await stat(path)).size));
    return `${dtype} ${content} ${offset}+${byteLength}`;
  }
  return (name) => {
    const promise = known.get(name) ?? find(name);
    known.set(name, promise);
    return promise;
  };
}

async function keyOf(roots: readonly Value[], identity: (name: string) => Promise<string>): Promise<string> {
  const parameters = new Map<string, string>();
  for (const name of parametersOf(roots).keys()) parameters.set(name, await identity(name));
  const text = describeExpressions(roots, (value) => {
    if (value.op === "parameter") return parameters.get(value.attributes.name) ?? "";
    if (value.op === "constant") return createHash("sha256").update(value.attributes.tensor.bytes).digest("hex");
    return "";
  });
  return createHash("sha256").update(`format ${FORMAT}, onnxruntime ${env.versions.common}\n${text}`).digest("hex");
}

/** Opens the folder, which is made where it is missing. @throws DataError when it can't be used */
export async function openKeptConstants(folder: string): Promise<() => ConstantFiles> {
  const { path: home, facts } = await openCacheFolder(folder);

  /** Whether the file of a group is there and whole. */
  async function isWhole(path: string, byteLength: number): Promise<boolean> {
    try {
      if ((await stat(path)).size !== byteLength + HASH_BYTES) return false;
      const content = await facts.get(path, () => hashRange(path, 0, byteLength));
      return content === (await readTail(path, byteLength));
    } catch {
      return false;
    }
  }

  return () => {
    let identity: ReturnType<typeof weightIdentities> | undefined;

    async function keep(group: ConstantGroup, weights: Weights, compute: Compute): Promise<ConstantFile> {
      identity ??= weightIdentities(weights, facts);
      const name = await keyOf(group.roots, identity);
      const path = join(home, name);
      if (!(await isWhole(path, group.byteLength))) {
        const tensors = await compute.toTensors(group);
        await writeFileAtomic(path, async (file) => {
          const hash = createHash("sha256");
          await writeGroup(group, tensors, (bytes) => {
            hash.update(bytes);
            return file.write(bytes);
          });
          await file.write(hash.digest());
        });
      }
      return { name, path, read: (offset, byteLength) => readRange(path, offset, byteLength) };
    }

    return {
      minBytes: 0,
      async store(groups, weights, compute) {
        const files: ConstantFile[] = [];
        for (const group of groups) files.push(await keep(group, weights, compute));
        return files;
      },
      loaded: () => facts.save(),
      close: async () => {},
    };
  };
}

// A folder among the system's temporary files that holds what one program computes from its weights, while it is loaded.
//
// The runtime maps the files, so they lose their names as soon as it has them; Windows keeps mapped files until the program
// is disposed. What a killed process left there, the next one removes.

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
    try {
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    } catch {
      // Windows keeps files that the runtime still has mapped; a process can't wait for that at its end.
    }
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
    async store(groups, _weights, compute) {
      try {
        const paths = new Map<string, ConstantGroup>();
        for (const group of groups) {
          folder ??= await makeFolder();
          const path = join(folder, String(files++));
          await (await open(path, "wx")).close();
          paths.set(path, group);
        }
        await compute.toFiles(paths);
        return [...paths.keys()].map((path) => ({
          name: basename(path),
          path,
          read: (offset, byteLength) => readRange(path, offset, byteLength),
        }));
      } catch (error) {
        if (error instanceof DcaeError) throw error;
        throw new DataError(errorMessage(fileError(error, folder ?? tmpdir(), "write")), { cause: error, hint: HINT });
      }
    },
    loaded: remove,
    close: remove,
  };
}

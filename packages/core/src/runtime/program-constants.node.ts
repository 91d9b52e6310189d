/**
 * A folder that keeps what programs compute from their weights when they are loaded: transformed filters, weights in another
 * dtype, joined weights.
 *
 * Each result is a file under the hash of what it was computed from (the expression, and the content of the weights), so that
 * programs for all sizes and all processes share it, and a changed checkpoint or rewrite never meets old results. The runtime
 * maps these files like a checkpoint: no copy in memory, and loading takes no time. Files end with the hash of their
 * content; damaged ones are made again.
 */
import { createHash } from "node:crypto";
import { mkdir, open, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { env } from "onnxruntime-common";
import { writeFileAtomic } from "../checkpoint/atomic-file.node.js";
import { fileError } from "../checkpoint/file-error.node.js";
import { tensorFromBytes } from "../checkpoint/tensor-bytes.js";
import type { WeightEntry, Weights } from "../checkpoint/weights.js";
import { DataError } from "../errors.js";
import { byteSize } from "../graph/dtype.js";
import { createProgram } from "../graph/program.js";
import { constantRoots, describeExpression, replaceByWeights } from "../graph/rewrite/constant-roots.js";
import { sizeOf, type Tensor } from "../graph/tensor.js";
import { parametersOf } from "../graph/traverse.js";
import type { Value } from "../graph/value.js";
import { findEntry, INLINE_BYTES, isMappable } from "./bind-weights.js";
import { type FileFacts, openFileFacts } from "./file-facts.node.js";
import type { ProgramConstants } from "./program-constants.js";

/** Changes when results are stored or described in another way. */
const FORMAT = 1;
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

async function readTail(path: string, offset: number): Promise<string> {
  const handle = await open(path, "r");
  try {
    const tail = Buffer.alloc(HASH_BYTES);
    await handle.read(tail, 0, HASH_BYTES, offset);
    return tail.toString("hex");
  } finally {
    await handle.close();
  }
}

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

async function keyOf(root: Value, identity: (name: string) => Promise<string>): Promise<string> {
  const parameters = new Map<string, string>();
  for (const name of parametersOf([root]).keys()) parameters.set(name, await identity(name));
  const text = describeExpression(root, (value) => {
    if (value.op === "parameter") return parameters.get(value.attributes.name) ?? "";
    if (value.op === "constant") return createHash("sha256").update(value.attributes.tensor.bytes).digest("hex");
    return "";
  });
  return createHash("sha256").update(`format ${FORMAT}, onnxruntime ${env.versions.common}\n${text}`).digest("hex");
}

const bytesOf = ({ shape, dtype }: Value) => sizeOf(shape as readonly number[]) * byteSize(dtype);

/** Opens the folder, which is made where it is missing. @throws DataError when it can't be used */
export async function openProgramConstants(folder: string): Promise<ProgramConstants> {
  const home = resolve(folder);
  try {
    await mkdir(home, { recursive: true });
  } catch (error) {
    throw fileError(error, folder, "write", DataError);
  }
  const facts = await openFileFacts(join(home, "files.json"));

  /** Whether the file of a result is there and whole. */
  async function isWhole(path: string, byteLength: number): Promise<boolean> {
    try {
      if ((await stat(path)).size !== byteLength + HASH_BYTES) return false;
      const content = await facts.get(path, () => hashRange(path, 0, byteLength));
      return content === (await readTail(path, byteLength));
    } catch {
      return false;
    }
  }

  async function store(path: string, tensor: Tensor): Promise<void> {
    const { bytes } = tensor;
    await writeFileAtomic(path, async (file) => {
      await file.write(bytes);
      await file.write(createHash("sha256").update(bytes).digest());
    });
  }

  function entryOf(name: string, path: string, root: Value): WeightEntry {
    const { dtype } = root;
    const shape = root.shape as readonly number[];
    const location = { path, offset: 0, byteLength: bytesOf(root) };
    async function read(): Promise<Tensor> {
      const handle = await open(path, "r");
      try {
        const bytes = new Uint8Array(location.byteLength);
        await handle.read(bytes, 0, bytes.length, 0);
        return tensorFromBytes(dtype, shape, bytes);
      } finally {
        await handle.close();
      }
    }
    return { name, dtype, shape, location, read };
  }

  return {
    async prepare(program, weights, evaluate) {
      const identity = weightIdentities(weights, facts);
      const entries = new Map(weights.entries);
      const names = new Map<Value, string>();
      for (const root of constantRoots(program, INLINE_BYTES + 1)) {
        // Weights that the runtime maps as they are need no second file.
        if (root.op === "parameter" && isMappable(root.attributes, findEntry(root.attributes.name, weights))) continue;
        const key = await keyOf(root, identity);
        const path = join(home, key);
        if (!(await isWhole(path, bytesOf(root)))) {
          await store(path, await evaluate(createProgram("constant", { constant: root }), weights));
        }
        const name = `computed/${key}`;
        names.set(root, name);
        entries.set(name, entryOf(name, path, root));
      }
      await facts.save();
      return { program: replaceByWeights(program, names), weights: { ...weights, entries } };
    },
  };
}

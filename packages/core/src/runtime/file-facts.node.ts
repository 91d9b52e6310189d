/**
 * What was found out about files by reading them whole, remembered as long as they don't change.
 *
 * A file counts as unchanged while device, inode, size, modification and change time (in nanoseconds) are the same; the
 * change time can't be set by programs. Facts about files that changed less than two seconds ago aren't kept, since a second
 * change could have the same times.
 */
import type { BigIntStats } from "node:fs";
import { mkdir, readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { writeFileAtomic } from "../checkpoint/atomic-file.node.js";
import { fileError, openFileSource } from "../checkpoint/file-source.node.js";
import { DataError } from "../errors.js";

const REST_MS = 2000;

interface Fact {
  readonly state: string;
  readonly value: string;
}

export interface FileFacts {
  /** The fact about `path`, from `find` where it isn't known for the file as it is. */
  get(path: string, find: () => Promise<string>): Promise<string>;
  /** Writes new facts to the disk. */
  save(): Promise<void>;
}

const stateOf = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats) => [dev, ino, size, mtimeNs, ctimeNs].join();

function isFact(value: unknown): value is Fact {
  const { state, value: text } = (value ?? {}) as Partial<Fact>;
  return typeof state === "string" && typeof text === "string";
}

/** Facts kept in the JSON file `store`; a file that is missing or damaged counts as empty. */
export async function openFileFacts(store: string): Promise<FileFacts> {
  const facts = new Map<string, Fact>();
  let changed = false;
  try {
    const stored: unknown = JSON.parse(await readFile(store, "utf8"));
    for (const [path, fact] of Object.entries(stored ?? {})) if (isFact(fact)) facts.set(path, fact);
  } catch {
    // Everything is found out again.
  }
  return {
    async get(path, find) {
      const stats = await stat(path, { bigint: true });
      const state = stateOf(stats);
      const known = facts.get(path);
      if (known?.state === state) return known.value;
      const value = await find();
      const after = await stat(path, { bigint: true });
      if (stateOf(after) === state && Date.now() - Number(after.ctimeNs / 1_000_000n) > REST_MS) {
        facts.set(path, { state, value });
        changed = true;
      }
      return value;
    },
    async save() {
      if (!changed) return;
      changed = false;
      const bytes = Buffer.from(JSON.stringify(Object.fromEntries(facts)));
      await writeFileAtomic(store, (file) => file.write(bytes));
    },
  };
}

interface CacheFolder {
  /** Absolute. */
  readonly path: string;
  readonly facts: FileFacts;
}

/** A program cache's folder with the facts kept in it, made where it is missing. @throws DataError when it can't be used */
export async function openCacheFolder(folder: string): Promise<CacheFolder> {
  const path = resolve(folder);
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    throw fileError(error, folder, "write", DataError);
  }
  return { path, facts: await openFileFacts(join(path, "files.json")) };
}

/** @throws CheckpointError when the file is missing, unreadable or ends before */
export async function readRange(path: string, offset: number, byteLength: number): Promise<Uint8Array> {
  const source = await openFileSource(path);
  try {
    return await source.read(offset, byteLength);
  } finally {
    await source.close();
  }
}

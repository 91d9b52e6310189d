/** The folder in which a stopped run leaves its finished parts: a key that says what the run is, and a file per chunk. */
import { access, mkdir, readdir, readFile, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError, ConfigError, type Tensor } from "@dcae/core";
import {
  openSafetensorsFile,
  temporaryStem,
  tensorEntries,
  writeFileAtomic,
  writeSafetensorsFile,
} from "@dcae/core/checkpoint";
import { errorMessage } from "@dcae/core/graph";
import { FieldError, list, object, record, text, whole } from "../files/json-fields.js";
import type { Unusable } from "./check-pictures.js";

/** Thrown for the folder of another run, so that callers can offer to start anew. */
export class WorkFolderError extends ConfigError {}

/** What a pass found in some pictures: rows of each tensor belong to `names`, in order. */
export interface Chunk {
  readonly names: readonly string[];
  readonly unusable: readonly Unusable[];
  /** How many pictures had which size, as in { "512x512": 64 }. */
  readonly sizes: Readonly<Record<string, number>>;
  readonly tensors: Readonly<Record<string, Tensor>>;
}

const KEY_FILE = "run.json";
const CHUNK_FILE = /^\d{8,}\.safetensors$/;

const chunkFields = object<Omit<Chunk, "tensors">>(
  {
    names: list(text),
    unusable: list(object<Unusable>({ name: text, problem: text }, {})),
    sizes: record(whole(1)),
  },
  {},
);

export function chunkName(start: number): string {
  return `${String(start).padStart(8, "0")}.safetensors`;
}

/**
 * Writes the key into a new folder, or compares it with the one that is there.
 *
 * @throws WorkFolderError when the folder belongs to a run with another key
 */
export async function prepareWorkFolder(folder: string, key: Readonly<Record<string, unknown>>): Promise<void> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, KEY_FILE);
  const text = `${JSON.stringify(key, null, 2)}\n`;
  const known = await readFile(path, "utf8").catch(() => undefined);
  if (known === text) return;
  if (known !== undefined) {
    const before = parseKey(known, path);
    const changed = Object.keys({ ...before, ...key }).filter(
      (name) => JSON.stringify(before[name]) !== JSON.stringify(key[name]),
    );
    throw new WorkFolderError(`${folder}: belongs to a run with other settings (${changed.join(", ")})`, {
      hint: "Choose another work folder, or remove this one to start anew.",
    });
  }
  await writeFileAtomic(path, (file) => file.write(new TextEncoder().encode(text)));
}

function parseKey(text: string, path: string): Readonly<Record<string, unknown>> {
  try {
    return record((value) => value)(JSON.parse(text), "");
  } catch (error) {
    throw new WorkFolderError(`${path}: isn't the settings of a run`, {
      hint: "Choose another work folder.",
      cause: error,
    });
  }
}

export async function writeChunk(path: string, { names, unusable, sizes, tensors }: Chunk): Promise<void> {
  const metadata = { chunk: JSON.stringify({ names, unusable, sizes }) };
  await writeSafetensorsFile(path, tensorEntries(Object.entries(tensors)), { metadata });
}

/** The chunk of a file, or undefined when there is none. */
export async function readChunk(path: string): Promise<Chunk | undefined> {
  const exists = await access(path).then(
    () => true,
    () => false,
  );
  if (!exists) return undefined;
  const file = await openSafetensorsFile(path);
  try {
    const { names, unusable, sizes } = chunkFields(JSON.parse(file.metadata.get("chunk") ?? ""), "");
    const tensors: Record<string, Tensor> = {};
    for (const entry of file.entries.values()) {
      const [rows] = entry.shape;
      if (rows !== names.length) throw new FieldError(entry.name, `${names.length} rows, one per picture`, rows);
      tensors[entry.name] = await entry.read();
    }
    return { names, unusable, sizes, tensors };
  } catch (error) {
    throw new CheckpointError(`${path}: can't be read as a part of this run: ${errorMessage(error)}`, {
      hint: "Remove it; it will be computed again.",
      cause: error,
    });
  } finally {
    await file.close();
  }
}

/** Removes the files of a run, and the folder (and those in it) if nothing else is there. A folder of no run is left alone. */
export async function removeWorkFolder(folder: string): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const isOfRun = entries.some(({ name }) => name === KEY_FILE);
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await removeWorkFolder(path);
    else if (isOfRun && isFileOfRun(temporaryStem(entry.name) ?? entry.name)) await rm(path, { force: true });
  }
  if (entries.length > 0) await rmdir(folder).catch(() => undefined);
}

function isFileOfRun(name: string): boolean {
  return name === KEY_FILE || CHUNK_FILE.test(name);
}

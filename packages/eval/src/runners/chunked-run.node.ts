/**
 * A pass over pictures, in batches of one size, in chunks that are finished one by one. With a work folder each finished chunk is a
 * file, and a later run with the same key reads it instead of computing it again.
 */
import { access, mkdir, readdir, readFile, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError, ConfigError, type Image, Tensor } from "@dcae/core";
import {
  openSafetensorsFile,
  temporaryStem,
  tensorEntries,
  writeFileAtomic,
  writeSafetensorsFile,
} from "@dcae/core/checkpoint";
import { errorMessage } from "@dcae/core/graph";
import { checkPart, formatPart, type JobPart } from "@dcae/core/internal";
import { FieldError, list, object, record, text, whole } from "../files/json-fields.js";
import type { Picture, PictureSource, Unusable } from "../sources/picture-source.js";

export interface ChunkedRun extends RunOptions {
  readonly source: PictureSource;
  readonly stage: string;
  /** Everything that decides the numbers; a work folder of another key is refused. */
  readonly key: Readonly<Record<string, unknown>>;
  readonly batchSize: (width: number, height: number) => number;
  /** Why a picture of this size is left out, if it is. */
  readonly refuse?: ((width: number, height: number) => string | undefined) | undefined;
  /** Values of a batch: one row per picture. Called for the next batch while the last one is still being computed. */
  readonly compute: (batch: Batch) => Promise<Readonly<Record<string, Tensor>>>;
  /** true: only the chunks of `part` are computed, and nothing is consumed. false: they were, and all are consumed. Default: both. */
  readonly partOnly?: boolean | undefined;
  /** Takes what was found, in order: batch by batch, or a whole chunk of an earlier run. */
  readonly consume: (chunk: Chunk) => void | Promise<void>;
}

export const DEFAULT_CHUNK = 64;

/**
 * Runs the pass; of many processes that share a work folder each computes its chunks first, and who finds all of them there takes them
 * together, so that the numbers are those of one process.
 *
 * @throws ConfigError when the work folder belongs to another run; MissingPartsError when other processes haven't computed their chunks;
 *   what `compute` throws
 */
export async function runInChunks(run: ChunkedRun): Promise<void> {
  const { source, chunkSize = DEFAULT_CHUNK, workFolder, part } = run;
  if (workFolder !== undefined)
    await prepareWorkFolder(workFolder, { ...run.key, chunkSize, source: source.fingerprint });
  if (part !== undefined) {
    checkPart(part);
    if (workFolder === undefined) throw new ConfigError("a part of a run needs a work folder, which all parts share");
    if (run.partOnly !== false) await runChunks({ ...run, consume: () => undefined }, part);
    if (run.partOnly === true) return;
    const missing = await missingChunks(workFolder, source.count, chunkSize);
    if (missing.length > 0) throw new MissingPartsError(workFolder, missing, Math.ceil(source.count / chunkSize), part);
  }
  // What other shards have computed isn't what an earlier run had done.
  const onProgress: RunOptions["onProgress"] = (progress) => run.onProgress?.({ ...progress, resumed: 0 });
  await runChunks(part === undefined ? run : { ...run, onProgress }, { index: 0, count: 1 });
}

/** Computes or reads the chunks whose number mod `part.count` is `part.index`. */
async function runChunks(run: ChunkedRun, part: JobPart): Promise<void> {
  const { source, chunkSize = DEFAULT_CHUNK, workFolder } = run;
  let stream: AsyncGenerator<Picture> | undefined;
  let position = -1;
  let resumed = 0;
  const report = (done: number) =>
    run.onProgress?.({ stage: run.stage, done, total: source.count, unit: "images", resumed });
  try {
    report(0);
    for (let start = part.index * chunkSize; start < source.count; start += part.count * chunkSize) {
      checkAborted(run.signal);
      const count = Math.min(chunkSize, source.count - start);
      const path = workFolder === undefined ? undefined : join(workFolder, chunkName(start));
      const known = path === undefined ? undefined : await readChunk(path);
      if (known !== undefined) {
        resumed += count;
        await run.consume(known);
        report(start + count);
        continue;
      }
      if (stream === undefined || position !== start) {
        await stream?.return(undefined);
        stream = usable(source.read(start), run.refuse);
      }
      const parts = await computeChunk(run, stream, count, (done) => report(start + done));
      position = start + count;
      if (path !== undefined) await writeChunk(path, joinParts(parts));
    }
  } finally {
    await stream?.return(undefined);
  }
}

/** Numbers of the chunks that aren't in the folder. */
async function missingChunks(folder: string, count: number, chunkSize: number): Promise<number[]> {
  const present = new Set(await readdir(folder));
  const chunks = Array.from({ length: Math.ceil(count / chunkSize) }, (_, i) => i);
  return chunks.filter((i) => !present.has(chunkName(i * chunkSize)));
}

/** Thrown where a process has done its part and others haven't: that is no failure. */
export class MissingPartsError extends ConfigError {
  override readonly name: string = "MissingPartsError";
  readonly missing: number;
  readonly total: number;
  /** Which parts of the job lack, from 0, ascending. */
  readonly parts: readonly number[];

  constructor(folder: string, chunks: readonly number[], total: number, { count }: JobPart) {
    const parts = [...new Set(chunks.map((chunk) => chunk % count))].sort((a, b) => a - b);
    const names = parts.map((index) => formatPart({ index, count }));
    super(`${folder}: ${chunks.length} of ${total} parts lack, of the shards ${names.join(", ")}`, {
      hint: "The shard that ends last makes the result.",
    });
    this.missing = chunks.length;
    this.total = total;
    this.parts = parts;
  }
}

/** Pictures of a size that is refused become pictures with a problem. */
async function* usable(
  pictures: AsyncIterable<Picture>,
  refuse: ChunkedRun["refuse"] = () => undefined,
): AsyncGenerator<Picture> {
  for await (const picture of pictures) {
    const { index, name, image } = picture;
    const problem = image && refuse(image.width, image.height);
    yield problem === undefined ? picture : { index, name, image: undefined, problem };
  }
}

async function computeChunk(
  run: ChunkedRun,
  stream: AsyncIterator<Picture>,
  count: number,
  report: (done: number) => void,
): Promise<Chunk[]> {
  const parts: Chunk[] = [];
  let done = 0;
  const finish = async (part: Chunk) => {
    parts.push(part);
    await run.consume(part);
    done += part.names.length + part.unusable.length;
    report(done);
  };
  let last: Promise<Chunk> | undefined;
  for await (const piece of batchesOf(stream, count, run.batchSize)) {
    checkAborted(run.signal);
    const current = "problem" in piece ? Promise.resolve(problemPart(piece.problem)) : batchPart(run, piece.batch);
    // A failure of this batch is seen when it is awaited below, even if the one before it fails first.
    current.catch(() => undefined);
    // The engine works on this batch while the one before it is summed up here.
    if (last !== undefined) await finish(await last);
    last = current;
  }
  if (last !== undefined) await finish(await last);
  return parts;
}

function problemPart({ name, problem = "unknown problem" }: Picture): Chunk {
  return { names: [], unusable: [{ name, problem }], sizes: {}, tensors: {} };
}

async function batchPart(run: ChunkedRun, batch: Batch): Promise<Chunk> {
  const names = batch.pictures.map(({ name }) => name);
  const sizes = { [`${batch.width}x${batch.height}`]: names.length };
  return { names, unusable: [], sizes, tensors: await run.compute(batch) };
}

function joinParts(parts: readonly Chunk[]): Chunk {
  const sizes: Record<string, number> = {};
  for (const part of parts) {
    for (const [size, count] of Object.entries(part.sizes)) sizes[size] = (sizes[size] ?? 0) + count;
  }
  return {
    names: parts.flatMap(({ names }) => names),
    unusable: parts.flatMap(({ unusable }) => unusable),
    sizes,
    tensors: joinRows(parts.filter(({ names }) => names.length > 0).map(({ tensors }) => tensors)),
  };
}

/** One tensor per name, with the rows of all parts. */
function joinRows(parts: readonly Readonly<Record<string, Tensor>>[]): Record<string, Tensor> {
  const [first] = parts;
  return Object.fromEntries(
    Object.keys(first ?? {}).map((name) => [name, Tensor.concat(parts.map((part) => part[name] as Tensor))]),
  );
}

export interface Batch {
  /** All of one size. */
  readonly pictures: readonly (Picture & { readonly image: Image })[];
  readonly width: number;
  readonly height: number;
}

/**
 * A batch of at most `most` that cuts `count` pictures into equal parts: programs have a fixed batch, and what the last
 * part lacks is computed for nothing.
 */
export function evenBatch(count: number, most: number): number {
  return Math.max(Math.ceil(count / Math.max(Math.ceil(count / most), 1)), 1);
}

/** What a piece of the stream was: a batch, or a picture that couldn't be read. */
type BatchOrProblem = { readonly batch: Batch } | { readonly problem: Picture };

function hasImage(picture: Picture): picture is Batch["pictures"][number] {
  return picture.image !== undefined;
}

/**
 * The next `count` pictures of `pictures`, in order, in batches of at most `sizeOf(width, height)`. A batch ends where the
 * size of the pictures changes.
 */
async function* batchesOf(
  pictures: AsyncIterator<Picture>,
  count: number,
  sizeOf: (width: number, height: number) => number,
): AsyncGenerator<BatchOrProblem> {
  let open: Batch["pictures"][number][] = [];
  const close = (): Batch => {
    const { width, height } = (open[0] as Batch["pictures"][number]).image;
    const batch = { pictures: open, width, height };
    open = [];
    return batch;
  };
  for (let taken = 0; taken < count; taken++) {
    const { value, done } = await pictures.next();
    if (done === true) break;
    const picture = value as Picture;
    if (!hasImage(picture)) {
      yield { problem: picture };
      continue;
    }
    const { width, height } = picture.image;
    const [first] = open;
    if (first !== undefined && (first.image.width !== width || first.image.height !== height)) yield { batch: close() };
    open.push(picture);
    if (open.length >= sizeOf(width, height)) yield { batch: close() };
  }
  if (open.length > 0) yield { batch: close() };
}

// What runners report while they work.

/** How far an evaluation is. */
export interface Progress {
  /** What is being done, as in "reconstruct" or "precision and recall". */
  readonly stage: string;
  readonly done: number;
  readonly total: number;
  /** What is counted; "share" runs from 0 to 1. */
  readonly unit: "images" | "share";
  /** Images that an earlier run had done already. */
  readonly resumed?: number;
}

export interface RunOptions {
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** Ends the run at the next batch. What is finished stays in the work folder. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Folder for finished parts: a run with the same settings goes on where this one was stopped. Without it a stopped run
   * starts anew.
   */
  readonly workFolder?: string | undefined;
  /**
   * Which share of the finished parts this process computes (default all): those with number mod count = index. All processes share
   * one work folder; who ends last has the result, the others get a MissingPartsError.
   */
  readonly part?: JobPart | undefined;
  /** Pictures per finished part (default 64): what a stopped run loses at most. */
  readonly chunkSize?: number | undefined;
}

/** @throws the signal's reason (or ConfigError) when the run was aborted */
export function checkAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw signal.reason instanceof Error ? signal.reason : new ConfigError("the run was stopped");
}

// The folder in which a stopped run leaves its finished parts: a key that says what the run is, and a file per chunk.

/** Thrown for the folder of another run, so that callers can offer to start anew. */
export class WorkFolderError extends ConfigError {
  override readonly name: string = "WorkFolderError";
}

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

function chunkName(start: number): string {
  return `${String(start).padStart(8, "0")}.safetensors`;
}

/**
 * Writes the key into a new folder, or compares it with the one that is there.
 *
 * @throws WorkFolderError when the folder belongs to a run with another key
 */
async function prepareWorkFolder(folder: string, key: Readonly<Record<string, unknown>>): Promise<void> {
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

async function writeChunk(path: string, { names, unusable, sizes, tensors }: Chunk): Promise<void> {
  const metadata = { chunk: JSON.stringify({ names, unusable, sizes }) };
  await writeSafetensorsFile(path, tensorEntries(Object.entries(tensors)), { metadata });
}

/** The chunk of a file, or undefined when there is none. */
async function readChunk(path: string): Promise<Chunk | undefined> {
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

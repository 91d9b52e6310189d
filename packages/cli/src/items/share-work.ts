/**
 * Work that many processes share in one folder: `--shard` of encode, decode, reconstruct and sample.
 *
 * The items are cut into blocks, which are those batches that one process would compute, so that the results have the same bits;
 * block b belongs to shard b mod n. What is done stands in `<out>/.shards`, a line for each item in a file for each shard: a process
 * that was killed goes on after its last whole block, and the one that finds all items done has the result of the whole.
 */
import { createHash } from "node:crypto";
import { appendFileSync } from "node:fs";
import { access, mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { DataError } from "@dcae/core";
import { errorCode, fileError, type Weights, weightsFingerprint, writeFileAtomic } from "@dcae/core/checkpoint";
import { holdShard, type JobPart } from "@dcae/core/internal";
import type { CliIo } from "../cli-io.js";
import { errorLine, UsageError } from "../errors.js";
import { noteWaiting, reportShard } from "../options/shard-options.js";
import type { Item } from "./items.js";
import type { Failures } from "./process-items.js";

const FOLDER = ".shards";
const JOB = "job.json";
const RECORDS = /^\d+-of-\d+\.jsonl$/;

export interface SharedJob {
  /** Folder of the results. */
  readonly out: string;
  readonly shard: JobPart;
  readonly json?: boolean | undefined;
  /** Items of the whole job. */
  readonly count: number;
  /** Items of a block. */
  readonly blockSize: number;
  /** Everything that decides the results: a folder of another job is refused. */
  readonly key: Readonly<Record<string, unknown>>;
  /** Whether the files of an item that was done are there still. */
  readonly isThere: (position: number) => Promise<boolean>;
}

export interface FailedItem {
  readonly source: string;
  readonly error: string;
}

interface WholeJob<Result> {
  /** In the order of the items. */
  readonly results: readonly Result[];
  readonly failed: readonly FailedItem[];
}

/** Notes what became of an item. */
export interface Recorder<Result> {
  done(position: number, result: Result): void;
  failed(position: number, failure: FailedItem): void;
}

type Entry<Result> = { readonly result: Result } | { readonly failure: FailedItem };

/**
 * Does the shard's part of a job.
 *
 * @param work gets the positions that are to be done, in whole blocks, and must record each of them
 * @returns the whole job, for the process that finds all of it done; undefined for the others, whose state is said
 * @throws UsageError where the folder holds another job, ConfigError while it is divided into another number of shards
 */
export function shareWork<Result>(
  job: SharedJob,
  io: CliIo,
  work: (positions: readonly number[], recorder: Recorder<Result>) => Promise<void>,
): Promise<WholeJob<Result> | undefined> {
  const { out, shard, count, blockSize } = job;
  const folder = join(out, FOLDER);
  const onWait = (owner: string) => noteWaiting(shard, owner, io);
  return holdShard(folder, shard, { signal: io.signal, onWait }, async () => {
    await claim(folder, { ...job.key, count, blockSize }, out);
    const before = await readRecords<Result>(folder);
    const todo: number[] = [];
    const blocks = Math.ceil(count / blockSize);
    for (let block = shard.index; block < blocks; block += shard.count) {
      const positions = positionsOf(block, job);
      const isDone = async (position: number) =>
        "result" in (before.get(position) ?? {}) && (await job.isThere(position));
      const done = await Promise.all(positions.map(isDone));
      // Whole blocks, whose batches are those of one process.
      if (done.includes(false)) todo.push(...positions);
    }
    const path = join(folder, `${shard.index + 1}-of-${shard.count}.jsonl`);
    await work(todo, createRecorder(path));
    const after = await readRecords<Result>(folder);
    const lacking = Array.from({ length: count }, (_, i) => i).filter((position) => !after.has(position));
    if (lacking.length === 0) return wholeOf(after);
    const missing = [...new Set(lacking.map((position) => Math.floor(position / blockSize)))];
    const parts = [...new Set(missing.map((block) => block % shard.count))].sort((a, b) => a - b);
    reportShard(job, { missing: missing.length, total: blocks, parts }, io);
    return undefined;
  });
}

function positionsOf(block: number, { count, blockSize }: Pick<SharedJob, "count" | "blockSize">): number[] {
  const first = block * blockSize;
  return Array.from({ length: Math.min(blockSize, count - first) }, (_, i) => first + i);
}

function wholeOf<Result>(entries: ReadonlyMap<number, Entry<Result>>): WholeJob<Result> {
  const ordered = [...entries].sort(([a], [b]) => a - b).map(([, entry]) => entry);
  return {
    results: ordered.flatMap((entry) => ("result" in entry ? [entry.result] : [])),
    failed: ordered.flatMap((entry) => ("failure" in entry ? [entry.failure] : [])),
  };
}

/** JSON has no infinity, which the PSNR of identical pictures is. */
const toText = (value: unknown) =>
  JSON.stringify(value, (_, part: unknown) =>
    typeof part === "number" && !Number.isFinite(part)
      ? { number: String(part) }
      : typeof part === "bigint"
        ? String(part)
        : part,
  );
const fromText = (text: string): unknown =>
  JSON.parse(text, (_, part: unknown) => {
    const keys = typeof part === "object" && part !== null ? Object.keys(part) : [];
    return keys.join() === "number" ? Number((part as { number: string }).number) : part;
  });

/** Writes the job's description, or compares it with the one that is there. @throws UsageError naming what differs */
async function claim(folder: string, key: Readonly<Record<string, unknown>>, out: string): Promise<void> {
  const path = join(folder, JOB);
  const text = `${toText(key)}\n`;
  const known = await readFile(path, "utf8").catch(() => undefined);
  if (known === text) return;
  if (known !== undefined) {
    let before: Record<string, unknown> = {};
    try {
      before = (JSON.parse(known) ?? {}) as Record<string, unknown>;
    } catch {
      // Not ours: everything differs.
    }
    const now = JSON.parse(text) as Record<string, unknown>;
    const names = Object.keys({ ...before, ...now });
    const changed = names.filter((name) => JSON.stringify(before[name]) !== JSON.stringify(now[name]));
    throw new UsageError(`${out}: its shards are of another job (${changed.join(", ")})`, {
      hint: `Repeat its options to go on with it, give another --out, or remove ${folder}.`,
    });
  }
  await mkdir(folder, { recursive: true });
  await writeFileAtomic(path, (file) => file.write(new TextEncoder().encode(text)));
}

function createRecorder<Result>(path: string): Recorder<Result> {
  // The last line of a process that was killed may be cut off: the first of this one begins a new one.
  let lead = "\n";
  const append = (line: unknown) => {
    try {
      appendFileSync(path, `${lead}${toText(line)}\n`);
    } catch (error) {
      throw fileError(error, path, "write");
    }
    lead = "";
  };
  return {
    done: (position, result) => append({ position, result }),
    failed: (position, failure) => append({ position, failure }),
  };
}

/** What became of the items, by all shards; of an item that failed and was done later, that it is done. */
async function readRecords<Result>(folder: string): Promise<Map<number, Entry<Result>>> {
  const entries = new Map<number, Entry<Result>>();
  for (const name of (await readdir(folder)).filter((candidate) => RECORDS.test(candidate))) {
    for (const line of (await readFile(join(folder, name), "utf8")).split("\n")) {
      const record = parseRecord<Result>(line);
      if (record === undefined || "result" in (entries.get(record.position) ?? {})) continue;
      entries.set(record.position, record);
    }
  }
  return entries;
}

function parseRecord<Result>(line: string): (Entry<Result> & { readonly position: number }) | undefined {
  try {
    const record = fromText(line) as (Entry<Result> & { readonly position: number }) | null;
    return typeof record?.position === "number" && ("result" in record || "failure" in record) ? record : undefined;
  } catch {
    return undefined; // empty, or cut off
  }
}

// Pictures and latents of a command line.

/** What `processItems` is told so that its work can be shared. */
export interface SharingHooks<Result> {
  readonly positionOf?: (index: number) => number;
  readonly onResult?: (position: number, result: Result) => void;
  readonly failures: Failures | undefined;
}

interface SharedItems extends Omit<SharedJob, "shard" | "count" | "isThere"> {
  readonly shard: JobPart | undefined;
  readonly items: readonly Item[];
  /** Of each item. */
  readonly paths: ReadonlyMap<Item, readonly string[]> | undefined;
  readonly failures: Failures | undefined;
}

/**
 * Runs all items, or the shard's part of them.
 *
 * @returns the results of all; undefined where other shards are to come, which is said
 */
export async function shareItems<Result>(
  { shard, items, paths, failures, ...job }: SharedItems,
  io: CliIo,
  run: (items: readonly Item[], hooks: SharingHooks<Result>) => Promise<Result[]>,
): Promise<readonly Result[] | undefined> {
  if (shard === undefined) return run(items, { failures });
  if (paths === undefined || failures === undefined) throw new UsageError("--shard needs a folder as --out");
  const isThere = async (position: number) => {
    const files = paths.get(items[position] as Item) ?? [];
    const there = await Promise.all(files.map((file) => access(file).then(yes, no)));
    return !there.includes(false);
  };
  const key = { ...job.key, items: hashOf(items.map(({ name, source }) => `${name}\0${source}`)) };
  const whole = await shareWork<Result>(
    { ...job, key, shard, count: items.length, isThere },
    io,
    async (todo, recorder) => {
      if (todo.length === 0) return;
      const positions = new Map(todo.map((position) => [items[position] as Item, position]));
      await run(
        todo.map((position) => items[position] as Item),
        {
          positionOf: (index) => todo[index] as number,
          onResult: (position, result) => recorder.done(position, result),
          failures: {
            ...failures,
            add(item, error: DataError) {
              failures.add(item, error);
              recorder.failed(positions.get(item) as number, { source: item.source, error: errorLine(error) });
            },
          },
        },
      );
    },
  );
  if (whole === undefined) return undefined;
  failures.restore(whole.failed);
  return whole.results;
}

const yes = () => true;
const no = (error: unknown) => {
  if (errorCode(error) === "ENOENT") return false;
  throw error;
};

function hashOf(lines: readonly string[]): string {
  const hash = createHash("sha256");
  for (const line of lines) hash.update(`${line}\n`);
  return hash.digest("hex").slice(0, 16);
}

/** Options that change no result, or only how fast it comes. */
const WITHOUT_EFFECT = new Set(["shard", "json", "skipErrors", "offline", "cacheDir", "threads", "out", "debug"]);

/** The options of a command that decide its results, for `SharedJob.key`. */
export function jobOptions(command: string, flags: object): Readonly<Record<string, unknown>> {
  const chosen = Object.entries(flags).filter(([name, value]) => value !== undefined && !WITHOUT_EFFECT.has(name));
  return { command, ...Object.fromEntries(chosen.sort(([a], [b]) => (a < b ? -1 : 1))) };
}

/** The weights' fingerprint where the work is shared: another model of the same name is another job. */
export async function fingerprintOf(
  shard: JobPart | undefined,
  { weights }: { readonly weights: Weights },
): Promise<string | undefined> {
  return shard === undefined ? undefined : weightsFingerprint(weights);
}

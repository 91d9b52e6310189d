/**
 * The loop of every command that sends items through a model: load, compute, write, batch by batch. While one batch is
 * computed, the next one is loaded: files are decoded in other threads than the model's.
 *
 * What is wrong with an item concerns that item alone: it is reported, and the others go on. Everything else (weights that
 * aren't finite, a full disk) ends the command.
 */
import { realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import { DataError, ShapeError, Tensor } from "@dcae/core";
import { type CliIo, plural } from "../cli-io.js";
import { errorLine, UsageError } from "../errors.js";
import { makeFolder, writeArrayFile } from "../files/array-file.js";
import { type OutputKind, STANDARD_STREAM } from "../files/paths.js";
import { type Batch, type Item, type LoadedItem, loadBatches, type PictureFit, withSource } from "./items.js";

// Items that couldn't be read: each is named when it happens and counted at the end.

export interface Failures {
  readonly list: readonly { readonly source: string; readonly error: string }[];
  add(item: Item, error: DataError): void;
  /** In place of the list: those of all shards, without a word about each. */
  restore(failed: readonly { readonly source: string; readonly error: string }[]): void;
  /**
   * Ends the command: with an error when items failed, unless `tolerated`; always when all of them did.
   *
   * @throws DataError
   */
  finish(total: number): void;
}

/**
 * @param noun what items are, as in "picture"
 * @param tolerated whether failed items leave the exit status at 0
 */
export function createFailures(io: CliIo, noun: string, tolerated: boolean): Failures {
  const list: { source: string; error: string }[] = [];
  return {
    list,
    add(item, error) {
      const line = errorLine(error);
      list.push({ source: item.source, error: line });
      io.note(`dcae: ${line}`);
    },
    restore(failed) {
      list.splice(0, list.length, ...failed);
    },
    finish(total) {
      if (list.length === 0) return;
      const message = `${list.length} of ${plural(total, noun)} could not be used`;
      if (tolerated && list.length < total) io.note(`dcae: ${message}`);
      else throw new DataError(message, { hint: "See above." });
    },
  };
}

// Where results in a folder go: `<out>/<name of the item><ending>`, checked before any work is done.

/**
 * Paths of the results, per item in the order of `endings`.
 *
 * @throws DataError when two items would share a result, or a result would replace an input
 */
export async function resultPaths(
  items: readonly Item[],
  out: string,
  endings: readonly string[],
): Promise<ReadonlyMap<Item, readonly string[]>> {
  const owners = new Map<string, Item>();
  const inputs = new Set<string>();
  for (const { path } of items) inputs.add(await realpath(path).catch(() => path));
  const paths = new Map<Item, readonly string[]>();
  const nameOf = distinctNames(items);
  for (const item of items) {
    const results = endings.map((ending) => join(out, ...`${nameOf(item)}${ending}`.split("/")));
    for (const result of results) {
      // Some file systems ignore case.
      const key = result.toLowerCase();
      const other = owners.get(key);
      if (other !== undefined) {
        throw new DataError(`${other.source} and ${item.source} would both be written to ${result}`, {
          hint: "Rename one of them, or work on them one after the other with two folders.",
        });
      }
      owners.set(key, item);
      await refuseInput(result, inputs);
    }
    paths.set(item, results);
  }
  return paths;
}

/** Names of results: with their files' endings where others of the same name have other ones, as `a.jpg` beside `a.png`. */
function distinctNames(items: readonly Item[]): (item: Item) => string {
  // Some file systems ignore case.
  const sets = new Map<string, Item[]>();
  for (const item of items) {
    const key = item.name.toLowerCase();
    sets.set(key, [...(sets.get(key) ?? []), item]);
  }
  return (item) => {
    const same = sets.get(item.name.toLowerCase()) ?? [];
    const endings = new Set(same.map(({ fullName }) => fullName.toLowerCase()));
    return same.length > 1 && endings.size === same.length ? item.fullName : item.name;
  };
}

/** @throws DataError when `result` is one of the files that are read */
export async function refuseInputs(result: string, items: readonly Item[]): Promise<void> {
  const inputs = await Promise.all(items.map(({ path }) => realpath(path).catch(() => path)));
  await refuseInput(result, new Set(inputs));
}

async function refuseInput(result: string, inputs: ReadonlySet<string>): Promise<void> {
  const existing = await realpath(result).catch(() => undefined);
  if (existing === undefined || !inputs.has(existing)) return;
  throw new DataError(`${result}: would replace an input`, { hint: "Choose another --out." });
}

export interface ProcessOptions<Result> {
  /** For the progress line, as in "encode". */
  readonly label: string;
  readonly batchSize: number;
  readonly fit?: PictureFit | undefined;
  /** Whether the next batch is loaded while one is computed (default true); it takes the memory of a second batch. */
  readonly loadAhead?: boolean;
  /** Positions of the items in the whole job, of which they may be a part (default: all of it). */
  readonly positionOf?: ((index: number) => number) | undefined;
  /** Called when the result of an item is written. */
  readonly onResult?: ((position: number, result: Result) => void) | undefined;
  /** Without it, the first item that can't be used ends the command. */
  readonly failures?: Failures | undefined;
  /** From a batch [N, ...] to results [N, ...]. */
  readonly compute: (batch: Batch) => Promise<Tensor>;
  /** Gets the result [1, ...] of each item, in order. */
  readonly write: (item: LoadedItem, result: Tensor) => Promise<Result>;
}

/** Where results go: the file of each item, or else one array file for all. */
interface ItemTarget {
  /** "-" is stdout. */
  readonly out: string;
  readonly paths: ReadonlyMap<Item, readonly string[]> | undefined;
  /** Of the array in one file. */
  readonly tensorName: string;
}

interface TargetOptions<Result> extends Omit<ProcessOptions<Result>, "write"> {
  /** Writes one result [1, ...] to its file. */
  readonly save: (path: string, result: Tensor) => Promise<void>;
  /** All results as what goes to stdout. */
  readonly encode: (results: readonly Tensor[]) => Promise<Uint8Array>;
  /** @param index position in one file for all */
  readonly describe: (loaded: LoadedItem, shape: readonly number[], path: string, index?: number) => Result;
}

/** As `processItems`, with files as results. */
export async function processItemsTo<Result>(
  { out, paths, tensorName }: ItemTarget,
  items: readonly Item[],
  io: CliIo,
  { save, encode, describe, ...options }: TargetOptions<Result>,
): Promise<Result[]> {
  if (out === STANDARD_STREAM) {
    const parts: Tensor[] = [];
    const results = await processItems(items, io, {
      ...options,
      async write(loaded, result) {
        parts.push(result);
        return describe(loaded, result.shape, out, loaded.index);
      },
    });
    await io.writeStdout(await encode(parts));
    return results;
  }
  if (paths === undefined) {
    return writeArrayFile({ path: out, count: items.length, tensorName }, (append) =>
      processItems(items, io, {
        ...options,
        async write(loaded, result) {
          await append(result);
          return describe(loaded, result.shape, out, loaded.index);
        },
      }),
    );
  }
  return processItems(items, io, {
    ...options,
    async write(loaded, result) {
      const [path] = paths.get(loaded.item) as readonly [string];
      await makeFolder(dirname(path));
      await save(path, result);
      return describe(loaded, result.shape, path);
    },
  });
}

// stdout as the place of results: words go to stderr then.

/** @throws UsageError where --json would go to stdout, too */
export function refuseJson(kind: OutputKind, { json = false }: { readonly json?: boolean }): void {
  if (kind === "stdout" && json) throw new UsageError("--json and --out - both want stdout: give a file as --out");
}

export function tell(io: CliIo, out: string, text: string): void {
  if (out === STANDARD_STREAM) io.note(`dcae: ${text.replace(/^-: /, "")}`);
  else io.out(text);
}

/** Results [1, ...] as one array [N, ...]. @throws DataError where they differ in shape */
export function oneArray(results: readonly Tensor[]): Tensor {
  const shapes = [...new Set(results.map(({ shape }) => `[${shape.slice(1).join(", ")}]`))];
  if (shapes.length > 1) {
    throw new DataError(`stdout: one array holds one shape, got ${shapes.slice(0, 2).join(" and ")}`, {
      hint: "Give a folder as --out, or make all inputs equal in size.",
    });
  }
  return Tensor.concat(results).cast("float32");
}

export async function processItems<Result>(
  items: readonly Item[],
  io: CliIo,
  options: ProcessOptions<Result>,
): Promise<Result[]> {
  const { label, batchSize, fit, loadAhead = true, failures, compute, write, positionOf, onResult } = options;
  const results: Result[] = [];
  let failed = 0;
  const show = (detail: string) =>
    io.progress.show({ label, done: results.length + failed, total: items.length, detail });
  const onFailure = (item: Item, error: DataError) => {
    if (failures === undefined) throw error;
    failures.add(item, error);
    failed++;
  };

  async function computeBatch(batch: Batch): Promise<Tensor | undefined> {
    try {
      return await compute(batch);
    } catch (error) {
      if (!(error instanceof DataError || error instanceof ShapeError)) throw error;
      for (const { item } of batch.items) onFailure(item, withSource(error, item.source));
      return undefined;
    }
  }

  show("");
  const batches = loadBatches(items, { batchSize, fit, positionOf, signal: io.signal });
  for await (const batch of loadAhead ? oneAhead(batches) : batches) {
    if ("error" in batch) {
      onFailure(batch.item, batch.error);
      continue;
    }
    show(batch.items[0]?.item.source ?? "");
    const computed = await computeBatch(batch);
    if (computed === undefined) continue;
    for (const [row, item] of batch.items.entries()) {
      const result = await write(item, computed.slice([{ start: row, stop: row + 1 }]));
      results.push(result);
      onResult?.(item.index, result);
    }
  }
  show("");
  return results;
}

/** The same values; each is asked for while the one before it is in use. */
async function* oneAhead<T>(values: AsyncGenerator<T>): AsyncGenerator<T> {
  let next = values.next();
  try {
    for (let current = await next; current.done !== true; current = await next) {
      next = values.next();
      // Thrown when its turn comes.
      next.catch(() => undefined);
      yield current.value;
    }
  } finally {
    await values.return(undefined);
  }
}

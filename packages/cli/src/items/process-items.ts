/**
 * The loop of every command that sends items through a model: load, compute, write, batch by batch. While one batch is
 * computed, the next one is loaded: files are decoded in other threads than the model's.
 *
 * What is wrong with an item concerns that item alone: it is reported, and the others go on. Everything else (weights that
 * aren't finite, a full disk) ends the command.
 */
import { DataError, ShapeError, type Tensor } from "@dcae/core";
import type { CliIo } from "../cli-io.js";
import { type Batch, type LoadedItem, loadBatches, type PictureFit, withSource } from "./batches.js";
import type { Failures } from "./failures.js";
import type { Item } from "./item.js";

export interface ProcessOptions<Result> {
  /** For the progress line, as in "encode". */
  readonly label: string;
  readonly batchSize: number;
  readonly fit?: PictureFit | undefined;
  /** Whether the next batch is loaded while one is computed (default true); it takes the memory of a second batch. */
  readonly loadAhead?: boolean;
  /** Without it, the first item that can't be used ends the command. */
  readonly failures?: Failures | undefined;
  /** From a batch [N, ...] to results [N, ...]. */
  readonly compute: (batch: Batch) => Promise<Tensor>;
  /** Gets the result [1, ...] of each item, in order. */
  readonly write: (item: LoadedItem, result: Tensor) => Promise<Result>;
}

export async function processItems<Result>(
  items: readonly Item[],
  io: CliIo,
  { label, batchSize, fit, loadAhead = true, failures, compute, write }: ProcessOptions<Result>,
): Promise<Result[]> {
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
  const batches = loadBatches(items, { batchSize, fit, signal: io.signal });
  for await (const batch of loadAhead ? oneAhead(batches) : batches) {
    if ("error" in batch) {
      onFailure(batch.item, batch.error);
      continue;
    }
    show(batch.items[0]?.item.source ?? "");
    const computed = await computeBatch(batch);
    if (computed === undefined) continue;
    for (const [row, item] of batch.items.entries()) {
      results.push(await write(item, computed.slice([{ start: row, stop: row + 1 }])));
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

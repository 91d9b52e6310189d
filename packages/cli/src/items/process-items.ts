/**
 * The loop of every command that sends items through a model: load, compute, write, batch by batch.
 *
 * What is wrong with an item concerns that item alone: it is reported, and the others go on. Everything else (weights that
 * aren't finite, a full disk) ends the command.
 */
import { DataError, ShapeError, type SizePolicy, type Tensor } from "@dcae/core";
import type { CliIo } from "../cli-io.js";
import { type Batch, type LoadedItem, loadBatches, withSource } from "./batches.js";
import type { Failures } from "./failures.js";
import type { Item } from "./item.js";

export interface ProcessOptions<Result> {
  /** For the progress line, as in "encode". */
  readonly label: string;
  readonly batchSize: number;
  /** Pixels that sides must be multiples of, and what to do otherwise. */
  readonly fit?: { readonly multiple: number; readonly policy: SizePolicy } | undefined;
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
  { label, batchSize, fit, failures, compute, write }: ProcessOptions<Result>,
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
  for await (const batch of loadBatches(items, { batchSize, fit, signal: io.signal, onFailure })) {
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

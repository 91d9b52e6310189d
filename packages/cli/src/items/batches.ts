/** Items in batches of equal shape, loaded when their turn comes. */

import { DataError, ShapeError, Tensor } from "@dcae/core";
import { errorMessage } from "@dcae/core/graph";
import { type FittedTensor, fitToMultiple, type SizePolicy } from "@dcae/core/image";
import { checkPictures } from "@dcae/core/internal";
import type { Item } from "./item.js";

export interface LoadedItem {
  readonly item: Item;
  /** Position in the list of all items. */
  readonly index: number;
  /** [1, C, H, W] after cropping or padding. */
  readonly tensor: Tensor;
  /** Height and width before cropping or padding. */
  readonly originalSize: readonly [height: number, width: number];
  /** Cuts off what padding added. */
  restore(result: Tensor): Tensor;
}

export interface Batch {
  readonly items: readonly LoadedItem[];
  /** [N, C, H, W] */
  readonly tensor: Tensor;
}

/** An item that can't be loaded. */
export interface LoadFailure {
  readonly item: Item;
  readonly error: DataError;
}

/** What the model takes. */
export interface PictureFit {
  readonly channels: number;
  /** Pixels that sides must be multiples of, and what to do otherwise. */
  readonly multiple: number;
  readonly policy: SizePolicy;
}

export interface BatchOptions {
  readonly batchSize: number;
  /** Of pictures; latents have none. */
  readonly fit?: PictureFit | undefined;
  readonly signal: AbortSignal;
}

/**
 * Loads items in order; consecutive ones of one shape and type come together. What can't be loaded is left out of the batches, and
 * comes in its turn. At most one batch is in memory.
 */
export async function* loadBatches(items: readonly Item[], options: BatchOptions): AsyncGenerator<Batch | LoadFailure> {
  let pending: LoadedItem[] = [];
  for (const [index, item] of items.entries()) {
    options.signal.throwIfAborted();
    const loaded = await load(item, index, options);
    if ("error" in loaded) {
      yield loaded;
      continue;
    }
    const [first] = pending;
    if (first !== undefined && kindOf(first.tensor) !== kindOf(loaded.tensor)) {
      yield toBatch(pending);
      pending = [];
    }
    pending.push(loaded);
    if (pending.length === options.batchSize) {
      yield toBatch(pending);
      pending = [];
    }
  }
  if (pending.length > 0) yield toBatch(pending);
}

async function load(item: Item, index: number, options: BatchOptions): Promise<LoadedItem | LoadFailure> {
  try {
    const original = await item.load();
    const { tensor, restore } =
      options.fit === undefined
        ? { tensor: original, restore: (result: Tensor) => result }
        : fitted(original, options.fit);
    const [height, width] = original.shape.slice(2) as [number, number];
    return { item, index, tensor, originalSize: [height, width], restore };
  } catch (error) {
    // Everything else (a missing codec library, a defect) would fail for all items.
    if (!(error instanceof DataError || error instanceof ShapeError)) throw error;
    return { item, error: withSource(error, item.source) };
  }
}

/** As `fitToMultiple`, with the advice for the command line. */
function fitted(given: Tensor, { channels, multiple, policy }: PictureFit): FittedTensor {
  const tensor = checkPictures(given, "encode", channels);
  const [height, width] = tensor.shape.slice(2) as [number, number];
  if (policy === "error" && (height % multiple !== 0 || width % multiple !== 0)) {
    throw new DataError(`${width}x${height} pixels aren't multiples of ${multiple}, the model's compression`, {
      hint: "Choose a --size-policy (center-crop, top-left-crop, reflect-pad) or a --size.",
    });
  }
  return fitToMultiple(tensor, multiple, policy);
}

/** The error with the item's name at its start. */
export function withSource(error: DataError | ShapeError, source: string): DataError {
  const message = errorMessage(error);
  return new DataError(message.startsWith(source) ? message : `${source}: ${message}`, {
    cause: error,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  });
}

/** What items of one batch have in common. Types stay as they are: the model refuses those that it doesn't take. */
const kindOf = ({ dtype, shape }: Tensor) => `${dtype} ${shape.join()}`;

function toBatch(items: readonly LoadedItem[]): Batch {
  return { items, tensor: Tensor.concat(items.map(({ tensor }) => tensor)) };
}

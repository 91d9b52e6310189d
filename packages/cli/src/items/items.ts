/** What a command works through: pictures, or the items of array files, in batches of equal shape that are loaded when their turn comes. */
import { DataError, loadImage, ShapeError, Tensor } from "@dcae/core";
import { errorMessage } from "@dcae/core/graph";
import { type FittedTensor, fitToMultiple, isPictureName, type SizePolicy } from "@dcae/core/image";
import { checkPictures } from "@dcae/core/internal";
import { closeAll, failClosed } from "@dcae/core/runtime";
import type { CliIo } from "../cli-io.js";
import { UsageError } from "../errors.js";
import { arrayFormatOf, openArrayFile } from "../files/array-file.js";
import { type ListedFile, listFiles } from "../files/paths.js";
import type { Size } from "../options/parse-values.js";

export interface Item {
  /** For names of results, without ending: "holiday/cat". */
  readonly name: string;
  /** For messages: the path, with the position where a file holds several items. */
  readonly source: string;
  /** The file it is read from. */
  readonly path: string;
  /** float32 [1, C, H, W] */
  load(): Promise<Tensor>;
}

interface ItemSet {
  readonly items: readonly Item[];
  /** Closes the array files. */
  close(): Promise<void>;
}

interface ItemOptions {
  /** What folders are searched for. */
  readonly folders: "pictures" | "arrays";
  /** Whether pictures, array files or both can be given. */
  readonly accepts: readonly ("pictures" | "arrays")[];
  /** For messages, as in "pictures". */
  readonly what: string;
  /** Where results go, so that they aren't taken for input. */
  readonly out: string;
  /** Pictures are scaled and cut to this size. */
  readonly size?: Size | undefined;
  /** Which array of .safetensors files. */
  readonly tensor?: string | undefined;
}

/**
 * The items behind the paths of a command line; what folders hold besides is said on `io`. Only headers of array files are read here.
 *
 * @throws DataError when a folder holds nothing or an array file can't be read, UsageError for options without effect
 */
export async function openItems(
  paths: readonly string[],
  options: ItemOptions,
  io: Pick<CliIo, "note">,
): Promise<ItemSet> {
  const accept = options.folders === "pictures" ? isPictureName : (path: string) => arrayFormatOf(path) !== undefined;
  const files = await listFiles(paths, { accept, exclude: options.out, what: options.what }, io);
  checkOptions(files, options);
  const items: Item[] = [];
  const closers: (() => Promise<void>)[] = [];
  const close = async () => {
    await closeAll(closers);
  };
  try {
    for (const file of files) {
      if (arrayFormatOf(file.path) === undefined) items.push(pictureItem(file, options.size));
      else {
        const { arrayItems, closer } = await openArrayItems(file, options.tensor);
        closers.push(closer);
        items.push(...arrayItems);
      }
    }
  } catch (error) {
    return failClosed(error, [close]);
  }
  return { items, close };
}

function checkOptions(files: readonly ListedFile[], { accepts, size, tensor, what }: ItemOptions): void {
  const arrays = files.filter(({ path }) => arrayFormatOf(path) !== undefined);
  const wrong = accepts.includes("arrays") ? undefined : arrays[0];
  if (wrong !== undefined) throw new DataError(`${wrong.path}: this command takes ${what}, not arrays`);
  if (!accepts.includes("pictures")) {
    const picture = files.find(({ path }) => arrayFormatOf(path) === undefined);
    if (picture !== undefined) {
      throw new DataError(
        `${picture.path}: this command takes ${what}: .npy or .safetensors files, or folders of them`,
      );
    }
  }
  if (size !== undefined && arrays[0] !== undefined) {
    throw new UsageError(`--size has no effect on the array ${arrays[0].path}: only pictures are scaled`);
  }
  if (tensor !== undefined && arrays.length === 0) {
    throw new UsageError("--tensor has no effect: no .safetensors file is given");
  }
}

function pictureItem({ path, name }: ListedFile, size: Size | undefined): Item {
  return { name, path, source: path, load: () => loadImage(path, size === undefined ? {} : { size }) };
}

async function openArrayItems(file: ListedFile, tensor: string | undefined) {
  const array = await openArrayFile(file.path, tensor);
  const count = array.shape[0] as number;
  const digits = String(count - 1).length;
  const arrayItems = Array.from({ length: count }, (_, index): Item => {
    const suffix = count === 1 ? "" : `-${String(index).padStart(digits, "0")}`;
    return {
      name: `${file.name}${suffix}`,
      path: file.path,
      source: count === 1 ? file.path : `${file.path}[${index}]`,
      load: () => array.readItem(index),
    };
  });
  return { arrayItems, closer: () => array.close() };
}

// Batches.

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
interface LoadFailure {
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

interface BatchOptions {
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

/** What a command works through: pictures, or the items of array files, in batches of equal shape that are loaded when their turn comes. */
import { DataError, loadImage, ShapeError, Tensor } from "@dcae/core";
import { decodeNpy } from "@dcae/core/checkpoint";
import { errorMessage } from "@dcae/core/graph";
import { type FittedTensor, fitToMultiple, isPictureName, readImageSize, type SizePolicy } from "@dcae/core/image";
import { checkPictures } from "@dcae/core/internal";
import { closeAll, failClosed } from "@dcae/core/runtime";
import { type CliIo, plural } from "../cli-io.js";
import { UsageError } from "../errors.js";
import { type ArrayFile, arrayFormatOf, arrayInMemory, openArrayFile } from "../files/array-file.js";
import { type ListedFile, listFiles, STANDARD_STREAM } from "../files/paths.js";
import type { Size } from "../options/parse-values.js";

export interface Item {
  /** For names of results, without ending: "holiday/cat". */
  readonly name: string;
  /** The same with the ending of its file, for names where others have the same one: "holiday/cat.jpg". */
  readonly fullName: string;
  /** For messages: the path, with the position where a file holds several items. */
  readonly source: string;
  /** The file it is read from. */
  readonly path: string;
  /** float32 [1, C, H, W] */
  load(): Promise<Tensor>;
  /** Of pictures: height and width, without loading them. @throws DataError when one can't be read */
  size?(): Promise<Size>;
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
  io: Pick<CliIo, "note" | "readStdin">,
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
    const stdin = files.filter(({ path }) => path === STANDARD_STREAM);
    if (stdin.length > 1) throw new UsageError("-: stdin can be read once only");
    for (const file of files) {
      if (file.path === STANDARD_STREAM) items.push(...stdinItems(await io.readStdin(), file, options));
      else if (arrayFormatOf(file.path) === undefined) items.push(pictureItem(file, options.size));
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
    const picture = files.find(({ path }) => arrayFormatOf(path) === undefined && path !== STANDARD_STREAM);
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

/** @param content bytes instead of the file's */
function pictureItem({ path, name, fullName }: ListedFile, size: Size | undefined, content?: Uint8Array): Item {
  const picture = content ?? path;
  return {
    ...{ name, fullName, path, source: content === undefined ? path : name },
    load: () => loadImage(picture, size === undefined ? {} : { size }),
    async size() {
      if (size !== undefined) return size;
      const { width, height } = await readImageSize(picture);
      return [height, width];
    },
  };
}

async function openArrayItems(file: ListedFile, tensor: string | undefined) {
  const array = await openArrayFile(file.path, tensor);
  return { arrayItems: itemsOfArray(file, array), closer: () => array.close() };
}

function itemsOfArray({ path, name, fullName }: ListedFile, array: ArrayFile): Item[] {
  const count = array.shape[0] as number;
  const digits = String(count - 1).length;
  return Array.from({ length: count }, (_, index): Item => {
    const suffix = count === 1 ? "" : `-${String(index).padStart(digits, "0")}`;
    return {
      name: `${name}${suffix}`,
      fullName: `${fullName}${suffix}`,
      path,
      source: count === 1 ? path : `${path}[${index}]`,
      load: () => array.readItem(index),
    };
  });
}

/** What every .npy file begins with. */
const NPY_MAGIC = [0x93, ...new TextEncoder().encode("NUMPY")];

/** What came through stdin: a picture, or a .npy array. */
function stdinItems(bytes: Uint8Array, file: ListedFile, { accepts, size, tensor, what }: ItemOptions): Item[] {
  if (bytes.length === 0) throw new DataError("stdin: it is empty");
  const isArray = NPY_MAGIC.every((byte, i) => bytes[i] === byte);
  if (!accepts.includes(isArray ? "arrays" : "pictures")) {
    const wanted = isArray ? `${what}, not arrays` : `${what} as a .npy array`;
    throw new DataError(`stdin: this command takes ${wanted}`);
  }
  if (tensor !== undefined) throw new UsageError("--tensor has no effect on stdin: only .npy arrays come through it");
  if (!isArray) return [pictureItem(file, size, bytes)];
  if (size !== undefined) throw new UsageError("--size has no effect on the array of stdin: only pictures are scaled");
  return itemsOfArray({ ...file, path: "stdin" }, arrayInMemory("stdin", decodeNpy(bytes, "stdin")));
}

// Sizes that the model doesn't take are asked about before any work.

/** So many files are looked into at once. */
const SIZES_AT_ONCE = 16;

/**
 * Asks what to do with pictures whose sides aren't multiples of the model's compression, with the line to type.
 *
 * @throws DataError when there are some
 */
export async function askForSizePolicy(items: readonly Item[], multiple: number, io: CliIo): Promise<void> {
  const unfit: string[] = [];
  for (let start = 0; start < items.length; start += SIZES_AT_ONCE) {
    io.signal.throwIfAborted();
    const some = items.slice(start, start + SIZES_AT_ONCE);
    // What can't be read is said when its turn comes.
    const sizes = await Promise.all(some.map((item) => item.size?.().catch(() => undefined)));
    sizes.forEach((size, i) => {
      if (size === undefined || size.every((side) => side % multiple === 0)) return;
      unfit.push(`${some[i]?.source} (${size[1]}x${size[0]})`);
    });
  }
  const [first] = unfit;
  if (first === undefined) return;
  const some =
    items.length === 1
      ? `${first}: its sides aren't`
      : `${unfit.length} of ${plural(items.length, "picture")} have sides that aren't`;
  const example = items.length === 1 ? "" : `, as ${first}`;
  const line = ["dcae", ...io.argv.map((word) => quoted(word)), "--size-policy reflect-pad"].join(" ");
  throw new DataError(`${some} multiples of ${multiple}, the model's compression${example}`, {
    hint: `To keep every pixel: ${line}; center-crop cuts their edges off instead, --size scales and cuts.`,
  });
}

/** A word as a shell takes it; that of Windows knows double quotes alone, which no path there has. */
export function quoted(word: string, platform: NodeJS.Platform = process.platform): string {
  if (platform === "win32") return /^[\w@%+=:,./\\~-]+$/.test(word) ? word : `"${word}"`;
  return /^[\w@%+=:,./~-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

// Batches.

export interface LoadedItem {
  readonly item: Item;
  /** Position in the list of all items, also where only a part of them is loaded. */
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
  /** Position of each item among those of all shards (default: its own). */
  readonly positionOf?: ((index: number) => number) | undefined;
  readonly signal: AbortSignal;
}

/**
 * Loads items in order; consecutive ones of one shape and type come together, out of blocks of `batchSize` positions: then a batch
 * is the same whichever part of the items is loaded, and so are the last bits of what is computed from it. What can't be loaded is left out of the batches, and
 * comes in its turn. At most one batch is in memory.
 */
export async function* loadBatches(items: readonly Item[], options: BatchOptions): AsyncGenerator<Batch | LoadFailure> {
  const { batchSize, positionOf = (index) => index } = options;
  const blockOf = ({ index }: LoadedItem) => Math.floor(index / batchSize);
  let pending: LoadedItem[] = [];
  for (const [at, item] of items.entries()) {
    options.signal.throwIfAborted();
    const loaded = await load(item, positionOf(at), options);
    if ("error" in loaded) {
      yield loaded;
      continue;
    }
    const [first] = pending;
    const isOther = first && (blockOf(first) !== blockOf(loaded) || kindOf(first.tensor) !== kindOf(loaded.tensor));
    if (isOther === true) {
      yield toBatch(pending);
      pending = [];
    }
    pending.push(loaded);
    if (pending.length === batchSize) {
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

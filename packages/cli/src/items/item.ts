/** What a command works through one by one: pictures, or the items of array files. */
import { DataError, loadImage, type Tensor } from "@dcae/core";
import { isPictureName } from "@dcae/core/image";
import { closeAll, failClosed } from "@dcae/core/runtime";
import type { CliIo } from "../cli-io.js";
import { arrayFormatOf, openArrayFile } from "../files/array-file.js";
import { type ListedFile, listFiles } from "../files/list-files.js";
import type { Size } from "../options/parse-values.js";
import { UsageError } from "../usage-error.js";

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

export interface ItemSet {
  readonly items: readonly Item[];
  /** Closes the array files. */
  close(): Promise<void>;
}

export interface ItemOptions {
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

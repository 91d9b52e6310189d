/**
 * Bytes of a picture from wherever it is: a path, a URL, or memory. Bounds are checked before anything is read whole.
 */
import { readFile, stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { fileError } from "../checkpoint/file-source.node.js";
import { DataError } from "../errors.js";
import { firstLine } from "./sharp.node.js";

/** A picture file that is read when its turn comes, such as a member of an archive. */
export interface LazyImage {
  /** For messages. */
  readonly name: string;
  /** Bytes that reading it takes: files in work at once are bounded by their sum. Files above 1 GiB are refused. */
  readonly size: number;
  /** The bytes of the picture file. @throws DataError */
  read(): Promise<Uint8Array>;
}

/** A path, a URL (file:, http:, https:, data:; also as text for http and https), the bytes of a picture file, or who reads them. */
export type ImageSource = string | URL | Uint8Array | ArrayBuffer | LazyImage;

/** Picture files above this are refused: 1 GiB. */
const MAX_FILE_BYTES = 2 ** 30;

/** How messages name the source. */
export function imageSourceName(source: ImageSource): string {
  if (typeof source === "string") return source === "" ? "(empty path)" : source;
  if (source instanceof URL) return source.protocol === "data:" ? "data: URL" : source.href;
  return isLazy(source) ? source.name : "image data";
}

const isLazy = (source: unknown): source is LazyImage =>
  typeof source === "object" && source !== null && "read" in source && typeof source.read === "function";

/**
 * Finds a picture file, and how large it is; local files aren't read yet.
 *
 * @throws DataError when there is nothing to read, naming the source
 */
export async function openImageSource(source: ImageSource): Promise<LazyImage> {
  const name = imageSourceName(source);
  const opened = await openSource(source, name);
  if (opened.size === 0) throw new DataError(`${name}: the file is empty (0 bytes)`);
  if (opened.size > MAX_FILE_BYTES) throw tooLarge(name, opened.size);
  return opened;
}

async function openSource(source: ImageSource, name: string): Promise<LazyImage> {
  const inMemory = (bytes: Uint8Array): LazyImage => ({ name, size: bytes.byteLength, read: async () => bytes });
  if (source instanceof ArrayBuffer) return inMemory(new Uint8Array(source));
  if (source instanceof Uint8Array) return inMemory(source);
  if (source instanceof URL) {
    if (source.protocol !== "file:") return inMemory(await download(source, name));
    try {
      return await openLocal(fileURLToPath(source), name);
    } catch (error) {
      if (error instanceof DataError) throw error;
      throw new DataError(`${name}: not a path on this machine: ${firstLine(error)}`, { cause: error });
    }
  }
  if (isLazy(source)) return source;
  if (typeof source !== "string") {
    throw new DataError(`loadImage: expected a path, a URL or bytes, got ${source === null ? "null" : typeof source}`);
  }
  if (/^https?:\/\//i.test(source)) {
    if (!URL.canParse(source)) throw new DataError(`${name}: not a valid URL`);
    return inMemory(await download(new URL(source), name));
  }
  if (source === "" || source.includes("\0")) throw new DataError(`${JSON.stringify(source)}: not a valid path`);
  return openLocal(source, name);
}

async function openLocal(path: string, name: string): Promise<LazyImage> {
  try {
    const status = await stat(path);
    if (status.isDirectory()) {
      throw new DataError(`${name}: it is a folder, not a picture`, { hint: "Name a picture inside of it." });
    }
    // Opening a pipe waits for a writer, and reading a device might never end.
    if (!status.isFile()) throw new DataError(`${name}: not a regular file`);
    return { name, size: status.size, read: () => readLocal(path, name) };
  } catch (error) {
    throw fileError(error, name, "read");
  }
}

async function readLocal(path: string, name: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw fileError(error, name, "read");
  }
}

async function download(url: URL, name: string): Promise<Uint8Array> {
  if (!["http:", "https:", "data:"].includes(url.protocol)) {
    throw new DataError(`${name}: can't read from "${url.protocol}" URLs`, {
      hint: "Use a path, a file:, http:, https: or data: URL, or pass the bytes.",
    });
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    const response = await fetch(url);
    if (!response.ok) throw new DataError(`${name}: the server answered ${response.status} ${response.statusText}`);
    const body = response.body as AsyncIterable<Uint8Array> | null;
    for await (const chunk of body ?? []) {
      size += chunk.byteLength;
      if (size > MAX_FILE_BYTES) throw tooLarge(name, size);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof DataError) throw error;
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    throw new DataError(`${name}: can't be downloaded: ${firstLine(cause)}`, { cause: error });
  }
  return Buffer.concat(chunks, size);
}

function tooLarge(name: string, size: number): DataError {
  return new DataError(`${name}: ${size} bytes is too large for a picture, the limit is ${MAX_FILE_BYTES}`);
}

/**
 * Bytes of a picture from wherever it is: a path, a URL, or memory. Bounds are checked before anything is read whole.
 */
import { open, readFile, stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { fileError } from "../checkpoint/file-source.node.js";
import { DataError } from "../errors.js";
import {
  bytesOf,
  type ImageSource,
  imageSourceName,
  isLazy,
  type LazyImage,
  MAX_FILE_BYTES,
  notAPicture,
  tooLarge,
} from "./picture-source.js";
import { firstLine } from "./sharp.node.js";

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
  if (source instanceof URL)
    return source.protocol === "file:" ? openFileUrl(source, name) : inMemory(await download(source, name));
  if (isLazy(source)) return source;
  if (typeof source !== "string") {
    const bytes = await bytesOf(source);
    if (bytes === undefined) throw notAPicture("loadImage", source);
    return inMemory(bytes);
  }
  if (/^(https?:\/\/|file:|data:|blob:)/i.test(source)) {
    if (!URL.canParse(source)) throw new DataError(`${name}: not a valid URL`);
    return openSource(new URL(source), name);
  }
  if (source === "" || source.includes("\0")) throw new DataError(`${JSON.stringify(source)}: not a valid path`);
  return openLocal(source, name);
}

async function openFileUrl(url: URL, name: string): Promise<LazyImage> {
  try {
    return await openLocal(fileURLToPath(url), name);
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(`${name}: not a path on this machine: ${firstLine(error)}`, { cause: error });
  }
}

async function openLocal(path: string, name: string): Promise<LazyImage> {
  try {
    const status = await stat(path);
    if (status.isDirectory()) {
      throw new DataError(`${name}: it is a folder, not a picture`, { hint: "Name a picture inside of it." });
    }
    // Opening a pipe waits for a writer, and reading a device might never end.
    if (!status.isFile()) throw new DataError(`${name}: not a regular file`);
    const { size } = status;
    return { name, size, read: () => readLocal(path, name), readStart: (bytes) => readStartLocal(path, name, bytes) };
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

async function readStartLocal(path: string, name: string, length: number): Promise<Uint8Array> {
  try {
    const handle = await open(path, "r");
    try {
      const { buffer, bytesRead } = await handle.read(new Uint8Array(length), 0, length, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fileError(error, name, "read");
  }
}

async function download(url: URL, name: string): Promise<Uint8Array> {
  if (!["http:", "https:", "data:", "blob:"].includes(url.protocol)) {
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

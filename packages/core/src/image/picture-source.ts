/**
 * The forms that a picture comes in, and what they have in common on every platform: pixels in memory become an `Image`, whatever
 * streams becomes bytes. Forms are told by their shape, since types of browsers, of packages and of other copies of this one have to do.
 */
import { DataError, errorMessage } from "../errors.js";
import { Tensor } from "../graph/tensor.js";
import { createImage, type Image, imageFromRgba, type Rgb } from "./image.js";

/** A picture file that is read when its turn comes, such as a member of an archive. */
export interface LazyImage {
  /** For messages. */
  readonly name: string;
  /** Bytes that reading it takes: files in work at once are bounded by their sum. Files above 1 GiB are refused. */
  readonly size: number;
  /** The bytes of the picture file. @throws DataError */
  read(): Promise<Uint8Array>;
  /** The first bytes (all, if there are fewer), where they can be had without the others. @throws DataError */
  readStart?(bytes: number): Promise<Uint8Array>;
}

/** Pixels as `ImageData` has them: rows of red, green, blue and alpha. */
export interface RgbaPixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array | Uint8ClampedArray;
}

/** `HTMLCanvasElement`, `OffscreenCanvas`, or a canvas of a package for Node. */
interface CanvasLike {
  readonly width: number;
  readonly height: number;
  getContext(kind: "2d"): unknown;
}

/** `Blob` or `File`. */
interface BlobLike {
  readonly size: number;
  readonly type: string;
  arrayBuffer(): Promise<ArrayBuffer>;
}

/** What `fetch` answers. */
interface ResponseLike {
  readonly ok: boolean;
  readonly status: number;
  readonly bodyUsed: boolean;
  arrayBuffer(): Promise<ArrayBuffer>;
}

/** `ReadableStream`. */
interface ReadableStreamLike {
  readonly locked: boolean;
  getReader(): {
    read(): Promise<{ readonly done: boolean; readonly value?: unknown }>;
    cancel(reason?: unknown): Promise<void>;
  };
}

/** An instance of sharp, with whatever it is told to do. */
export interface SharpLike {
  metadata(): Promise<unknown>;
  toBuffer(): Promise<unknown>;
}

/** What a browser draws: `ImageBitmap`, `<img>`, `<video>`. */
export type Drawable =
  | { readonly width: number; readonly height: number; close(): void }
  | { readonly naturalWidth: number; readonly naturalHeight: number }
  | { readonly videoWidth: number; readonly videoHeight: number };

/** Pixels in memory. */
type PixelSource = Image | RgbaPixels | CanvasLike;

/** The bytes of a picture file, in one of the forms that programs have them. */
type ByteSource = Uint8Array | ArrayBuffer | BlobLike | ResponseLike | ReadableStreamLike | AsyncIterable<Uint8Array>;

/**
 * A picture in any usual form: a path (Node), a URL (http:, https:, data:, blob:, file: in Node) as text or `URL`, the bytes of a picture
 * file (Buffer, Uint8Array, ArrayBuffer, Blob, File, Response, ReadableStream, Node's streams), an instance of sharp (Node), pixels
 * (ImageData, canvas, `Image`; in browsers ImageBitmap, `<img>` and `<video>` too), or something that reads the bytes.
 */
export type ImageSource = string | URL | ByteSource | PixelSource | SharpLike | Drawable | LazyImage;

/** A picture for a model: in any form, or as a float tensor [N, 3, H, W] or [3, H, W] in [-1, 1]. */
export type Picture = Tensor | ImageSource;

/** Picture files above this are refused: 1 GiB. */
export const MAX_FILE_BYTES = 2 ** 30;

/** What people write instead of `size`. */
export const SIZE_REASONS = {
  width: "isn't there: give size, one side or [height, width]",
  height: "isn't there: give size, one side or [height, width]",
};

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
const hasMethods = (value: unknown, ...names: readonly string[]) =>
  isObject(value) && names.every((name) => typeof value[name] === "function");
const hasSize = (value: Record<string, unknown>) => typeof value.width === "number" && typeof value.height === "number";

export const isLazy = (source: unknown): source is LazyImage =>
  hasMethods(source, "read") &&
  typeof (source as LazyImage).size === "number" &&
  typeof (source as LazyImage).name === "string";
export const isSharp = (source: unknown): source is SharpLike => hasMethods(source, "metadata", "toBuffer");
const isBlob = (source: unknown): source is BlobLike =>
  hasMethods(source, "arrayBuffer") && typeof (source as BlobLike).size === "number";
const isResponse = (source: unknown): source is ResponseLike =>
  hasMethods(source, "arrayBuffer") && typeof (source as ResponseLike).status === "number";
const isReadable = (source: unknown): source is ReadableStreamLike => hasMethods(source, "getReader");
const isAsyncIterable = (source: unknown): source is AsyncIterable<unknown> =>
  isObject(source) && typeof (source as { [Symbol.asyncIterator]?: unknown })[Symbol.asyncIterator] === "function";
const isCanvas = (source: unknown): source is CanvasLike => hasMethods(source, "getContext");

/** Whether a browser can draw it. */
export function isDrawable(source: unknown): source is Drawable {
  if (!isObject(source)) return false;
  return "naturalWidth" in source || "videoWidth" in source || (hasSize(source) && hasMethods(source, "close"));
}

const className = (source: unknown): string =>
  (source as { constructor?: { name?: string } })?.constructor?.name || "object";

/** Whether it has one of the forms of pictures; which of them can be read depends on the platform. */
export function mayBePicture(source: unknown): source is ImageSource {
  if (typeof source === "string" || source instanceof URL || source instanceof Uint8Array) return true;
  if (source instanceof ArrayBuffer || isLazy(source) || isSharp(source) || isBlob(source) || isResponse(source))
    return true;
  if (isReadable(source) || isAsyncIterable(source) || isCanvas(source) || isDrawable(source)) return true;
  return isObject(source) && !(source instanceof Tensor) && hasSize(source) && "data" in source;
}

/** How messages name a picture. */
export function imageSourceName(source: unknown): string {
  if (typeof source === "string") {
    if (source === "") return "(empty path)";
    return /^data:/i.test(source) ? "data: URL" : source;
  }
  if (source instanceof URL) return source.protocol === "data:" ? "data: URL" : source.href;
  if (source instanceof Uint8Array || source instanceof ArrayBuffer) return "image data";
  if (isSharp(source)) return "sharp instance";
  if (!isObject(source)) return String(source);
  for (const given of [source.name, source.url, source.path])
    if (typeof given === "string" && given !== "") return given;
  return className(source);
}

const FORMS =
  "a path or URL (http:, https:, file:, data:), the bytes of a picture file (Buffer, Uint8Array, ArrayBuffer, Blob, File, Response, " +
  "a stream), a sharp instance, ImageData, a canvas, an ImageBitmap (in browsers), an Image";

/** Says what a picture may be, and what was given instead. */
export function notAPicture(what: string, source: unknown): DataError {
  const [got, advice] = described(source);
  const forms = what === "loadImage" || what === "decodeImage" ? FORMS : `${FORMS}, or a float Tensor [N, 3, H, W]`;
  return new DataError(`${what}: ${got} isn't a picture`, { hint: `${advice}Give ${forms}.` });
}

function described(source: unknown): readonly [got: string, advice: string] {
  if (source === null || source === undefined) return [String(source), ""];
  if (Array.isArray(source)) {
    return ["an array", "Pictures of one size become one tensor by loadImages or imagesToTensor. "];
  }
  if (ArrayBuffer.isView(source)) {
    const name = className(source);
    return [
      `a ${name} without its size`,
      "Values in [-1, 1] become a tensor by Tensor.float32(values, [1, 3, H, W]). ",
    ];
  }
  if (source instanceof Tensor) return ["a tensor", "Models take tensors as they are. "];
  if (!isObject(source)) return [`a ${typeof source}`, ""];
  if (Array.isArray(source.dims) && "data" in source) {
    return ["a tensor of another library", "Make it one of this library: Tensor.float32(t.data, t.dims). "];
  }
  if (isDrawable(source)) return [`what a browser draws (${className(source)})`, "Draw it onto a canvas. "];
  const keys = Object.keys(source).slice(0, 6).join(", ");
  return [`an object of ${className(source)}${keys === "" ? "" : ` with ${keys}`}`, ""];
}

/**
 * The picture of pixels in memory; undefined where it isn't pixels.
 *
 * @param alpha "drop" keeps the stored colors; a color is what lies behind transparent pixels
 * @throws DataError when the data doesn't have the length that width and height ask for
 */
export function imageFromPixels(source: unknown, alpha: "drop" | Rgb = "drop"): Image | undefined {
  if (!isObject(source) || source instanceof Tensor) return undefined;
  if (isCanvas(source)) return imageFromRgba(canvasPixels(source), alpha);
  if (!hasSize(source) || !("data" in source)) return undefined;
  const { width, height, data, channels } = source as unknown as RgbaPixels & { readonly channels?: number };
  if (!(data instanceof Uint8Array || data instanceof Uint8ClampedArray)) {
    throw new DataError(`${className(source)}: its pixels are of ${className(data)}, not of 8 bits`, {
      hint: "Give pixels as Uint8Array or Uint8ClampedArray.",
    });
  }
  if (channels !== 3) return imageFromRgba({ width, height, data }, alpha);
  return createImage(width, height, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}

function canvasPixels(canvas: CanvasLike): RgbaPixels {
  const { width, height } = canvas;
  const context = canvas.getContext("2d") as {
    getImageData?: (x: number, y: number, width: number, height: number) => RgbaPixels;
  } | null;
  if (!(width >= 1 && height >= 1)) throw new DataError(`canvas: its size is ${width}x${height}`);
  if (typeof context?.getImageData !== "function") {
    throw new DataError("canvas: its pixels can't be read, it has another context than 2d", {
      hint: "Draw it onto a canvas with a 2d context.",
    });
  }
  try {
    return context.getImageData(0, 0, width, height);
  } catch (cause) {
    throw new DataError(`canvas: its pixels can't be read: ${errorMessage(cause)}`, {
      cause,
      hint: "Pictures of other sites need CORS: set crossOrigin before their address.",
    });
  }
}

/** Where bytes come from that are in memory or arrive one after the other; undefined for other forms. */
export async function bytesOf(source: unknown): Promise<Uint8Array | undefined> {
  if (source instanceof Uint8Array) return source;
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  const name = imageSourceName(source);
  if (isResponse(source)) {
    if (!source.ok) throw new DataError(`${name}: the server answered ${source.status}`);
    if (source.bodyUsed) throw new DataError(`${name}: its body was read before`, { hint: "Give response.clone()." });
    return readAll(name, source);
  }
  if (isBlob(source)) {
    if (source.size > MAX_FILE_BYTES) throw tooLarge(name, source.size);
    return readAll(name, source);
  }
  if (isReadable(source) && source.locked) {
    throw new DataError(`${name}: somebody else reads it`, { hint: "Give one branch of stream.tee()." });
  }
  // Not every browser iterates over its streams.
  if (isReadable(source)) return collect(name, chunksOf(source));
  return isAsyncIterable(source) ? collect(name, source) : undefined;
}

async function readAll(name: string, source: { arrayBuffer(): Promise<ArrayBuffer> }): Promise<Uint8Array> {
  let bytes: Uint8Array;
  try {
    bytes = new Uint8Array(await source.arrayBuffer());
  } catch (cause) {
    throw new DataError(`${name}: can't be read: ${errorMessage(cause)}`, { cause });
  }
  if (bytes.length > MAX_FILE_BYTES) throw tooLarge(name, bytes.length);
  return bytes;
}

async function* chunksOf(stream: ReadableStreamLike): AsyncGenerator<unknown> {
  const reader = stream.getReader();
  let done = false;
  try {
    for (;;) {
      const next = await reader.read();
      done = next.done;
      if (done) return;
      yield next.value;
    }
  } finally {
    if (!done) await reader.cancel().catch(() => undefined);
  }
}

async function collect(name: string, chunks: AsyncIterable<unknown>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of chunks) {
      if (!(chunk instanceof Uint8Array)) {
        throw new DataError(`${name}: the stream gives ${typeof chunk}, not bytes`, {
          hint: "Open it without an encoding.",
        });
      }
      size += chunk.length;
      if (size > MAX_FILE_BYTES) throw tooLarge(name, size);
      parts.push(chunk);
    }
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(`${name}: the stream failed: ${errorMessage(error)}`, { cause: error });
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

export function tooLarge(name: string, size: number): DataError {
  return new DataError(`${name}: ${size} bytes is too large for a picture, the limit is ${MAX_FILE_BYTES}`);
}

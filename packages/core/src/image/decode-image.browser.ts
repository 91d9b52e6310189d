/**
 * Pictures to 8-bit RGB in a browser, which decodes them itself: whatever formats it knows, turned as EXIF asks, in sRGB. The way is by a
 * canvas, which forgets the colors of pixels that nobody sees: they are black unless `alpha` is a color.
 */
import { checkOptions, type OptionNames } from "../check-options.js";
import { ConfigError, DataError, errorMessage } from "../errors.js";
import type { Tensor } from "../graph/tensor.js";
import { dmCrop } from "./fit-to-multiple.js";
import { type Image, imageFromRgba, imageToTensor, type Rgb, WHITE } from "./image.js";
import {
  bytesOf,
  type Drawable,
  type ImageSource,
  imageFromPixels,
  imageSourceName,
  isDrawable,
  isLazy,
  notAPicture,
  type RgbaPixels,
  SIZE_REASONS,
} from "./picture-source.js";

/** Options of `loadImage` in a browser. */
export interface WebLoadImageOptions {
  /** What lies behind transparent pixels: nothing ("drop", default), "white" or a color. */
  readonly alpha?: "drop" | "white" | Rgb;
  /** Scales and cuts to this size with dmCrop: the side of a square, or [height, width]. By default the size is kept. */
  readonly size?: number | readonly [height: number, width: number];
  /** Ends the download of a URL. */
  readonly signal?: AbortSignal | undefined;
}

const OPTIONS: OptionNames<WebLoadImageOptions> = { alpha: true, size: true, signal: true };
const REASONS = {
  ...SIZE_REASONS,
  orientation: "isn't there in browsers: pictures are turned as EXIF asks",
  colorProfile: "isn't there in browsers: pictures become sRGB",
  maxPixels: "isn't there in browsers, which have limits of their own",
  maxSeconds: "isn't there in browsers",
};

interface Context2d {
  drawImage(picture: unknown, x: number, y: number, width: number, height: number): void;
  getImageData(x: number, y: number, width: number, height: number): RgbaPixels;
  putImageData(pixels: RgbaPixels, x: number, y: number): void;
}

/** A canvas, on the page or beside it. */
export interface WebCanvas {
  width: number;
  height: number;
  getContext(kind: "2d"): unknown;
}

/** The part of a browser's globals that matters here; Node's types don't have it. */
interface PictureGlobals {
  readonly createImageBitmap?: (blob: Blob, options?: object) => Promise<Drawable & { close(): void }>;
  readonly OffscreenCanvas?: new (width: number, height: number) => WebCanvas;
  readonly document?: { createElement(name: "canvas"): WebCanvas };
  readonly ImageData?: new (data: Uint8ClampedArray, width: number, height: number) => RgbaPixels;
}
const page = globalThis as PictureGlobals;

/** A canvas of this size, also where there is no page (in a worker). @throws DataError where there are none */
export function newCanvas(width: number, height: number): WebCanvas {
  if (page.OffscreenCanvas !== undefined) return new page.OffscreenCanvas(width, height);
  if (page.document === undefined) throw new DataError("there is no canvas here: this is neither a page nor a worker");
  return Object.assign(page.document.createElement("canvas"), { width, height });
}

/** @throws DataError where the canvas has another context already, or is too large */
export function contextOf(canvas: WebCanvas): Context2d {
  const context = canvas.getContext("2d") as Context2d | null;
  if (context !== null) return context;
  throw new DataError(
    `canvas: can't be drawn on, ${canvas.width}x${canvas.height} is too large or it has another context`,
  );
}

/** Draws a picture onto a canvas, which takes its size. */
export function drawOnto(canvas: WebCanvas, { width, height, data }: Image): void {
  Object.assign(canvas, { width, height });
  const rgba = new Uint8ClampedArray(width * height * 4).fill(255);
  for (let from = 0, to = 0; from < data.length; from += 3, to += 4) rgba.set(data.subarray(from, from + 3), to);
  const { ImageData } = page;
  if (ImageData === undefined) throw new DataError("there is no ImageData here: this isn't a browser");
  contextOf(canvas).putImageData(new ImageData(rgba, width, height), 0, 0);
}

/**
 * Decodes a picture.
 *
 * @throws DataError naming the source when it can't be read or isn't a picture
 */
export async function decodeImage(
  source: ImageSource,
  options: Omit<WebLoadImageOptions, "size"> = {},
): Promise<Image> {
  checkOptions("decodeImage", options, OPTIONS, REASONS);
  const { alpha = "drop", signal } = options;
  if (alpha !== "drop" && alpha !== "white" && !(Array.isArray(alpha) && alpha.length === 3)) {
    throw new ConfigError(
      `decodeImage: alpha must be "drop", "white" or [red, green, blue], got ${JSON.stringify(alpha)}`,
    );
  }
  const behind = alpha === "white" ? WHITE : alpha;
  const pixels = imageFromPixels(source, behind);
  if (pixels !== undefined) return pixels;
  if (isDrawable(source)) return drawn(source, behind);
  const name = imageSourceName(source);
  const blob = await blobOf(source, name, signal);
  if (blob.size === 0) throw new DataError(`${name}: the file is empty (0 bytes)`);
  if (page.createImageBitmap === undefined)
    throw new DataError("there is no createImageBitmap here: this isn't a browser");
  const bitmap = await page.createImageBitmap(blob, { imageOrientation: "from-image" }).catch((cause: unknown) => {
    throw new DataError(`${name}: can't be read as a picture: ${errorMessage(cause)}`, {
      cause,
      hint: "Browsers read JPEG, PNG, WebP, GIF, BMP and mostly AVIF.",
    });
  });
  try {
    return drawn(bitmap, behind);
  } finally {
    bitmap.close();
  }
}

function drawn(source: Drawable, behind: "drop" | Rgb): Image {
  const { width, height } = sizeOf(source);
  if (!(width >= 1 && height >= 1)) {
    throw new DataError(`${imageSourceName(source)}: its size is ${width}x${height}`, {
      hint: "Wait until it is loaded: await image.decode().",
    });
  }
  const context = contextOf(newCanvas(width, height));
  context.drawImage(source, 0, 0, width, height);
  return imageFromRgba(context.getImageData(0, 0, width, height), behind);
}

function sizeOf(source: Drawable): { readonly width: number; readonly height: number } {
  if ("naturalWidth" in source) return { width: source.naturalWidth, height: source.naturalHeight };
  if ("videoWidth" in source) return { width: source.videoWidth, height: source.videoHeight };
  return source;
}

async function blobOf(source: ImageSource, name: string, signal: AbortSignal | undefined): Promise<Blob> {
  if (source instanceof Blob) return source;
  if (typeof source === "string" || source instanceof URL) return download(String(source), name, signal);
  const bytes = isLazy(source) ? await source.read() : await bytesOf(source);
  if (bytes === undefined) throw notAPicture("loadImage", source);
  return new Blob([bytes as Uint8Array<ArrayBuffer>]);
}

async function download(url: string, name: string, signal: AbortSignal | undefined): Promise<Blob> {
  try {
    const response = await fetch(url, signal === undefined ? {} : { signal });
    if (!response.ok) throw new DataError(`${name}: the server answered ${response.status}`);
    return await response.blob();
  } catch (cause) {
    signal?.throwIfAborted();
    if (cause instanceof DataError) throw cause;
    throw new DataError(`${name}: can't be downloaded: ${errorMessage(cause)}`, {
      cause,
      hint: "Check the address, and that its server allows requests from this page (CORS).",
    });
  }
}

/**
 * Reads a picture as tensor [1, 3, H, W], float32 in [-1, 1].
 *
 * @throws DataError naming the source when it can't be read
 */
export async function loadImage(source: ImageSource, options: WebLoadImageOptions = {}): Promise<Tensor<"float32">> {
  checkOptions("loadImage", options, OPTIONS, REASONS);
  const { size, ...decode } = options;
  const image = await decodeImage(source, decode);
  return imageToTensor(size === undefined ? image : dmCrop(image, size));
}

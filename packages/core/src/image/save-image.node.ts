/**
 * 8-bit RGB pictures to the bytes of a file, by sharp in libuv's threads, and to files: the format follows the name, and a file
 * appears whole or not at all.
 *
 * Defaults keep what a reconstruction shows: PNG and TIFF are lossless, JPEG has full color resolution at quality 95.
 */
import { extname } from "node:path";
import type { Sharp } from "sharp";
import { checkOptions, type OptionNames } from "../check-options.js";
import { writeFileAtomic } from "../checkpoint/atomic-file.node.js";
import { ConfigError, DataError, DcaeError, ShapeError } from "../errors.js";
import { Tensor } from "../graph/tensor.js";
import { makeGrid } from "./compare-images.js";
import { type Image, type Rounding, tensorToImages } from "./image.js";
import { firstLine, loadSharp } from "./sharp.node.js";
import { type OnePicture, resolveBlobOptions, TO_BLOB_OPTIONS, type ToBlobOptions, toImage } from "./to-image.js";

/** Picture formats that can be written. */
export type ImageFormat = "png" | "jpeg" | "webp" | "avif" | "tiff";

/** Quality of written pictures. */
export interface EncodeImageOptions {
  /** 1 to 100, for jpeg and webp (95 by default) and avif (80). An error for the lossless formats. */
  readonly quality?: number;
  /** Lossless webp or avif; an error for other formats, and together with `quality`. */
  readonly lossless?: boolean;
}

const ENCODE_IMAGE_OPTIONS: OptionNames<EncodeImageOptions> = { quality: true, lossless: true };

const FORMAT_OF_EXTENSION: Readonly<Record<string, ImageFormat>> = {
  ".png": "png",
  ".jpg": "jpeg",
  ".jpeg": "jpeg",
  ".webp": "webp",
  ".avif": "avif",
  ".tif": "tiff",
  ".tiff": "tiff",
};

const MAX_SIDE: Readonly<Record<ImageFormat, number>> = {
  png: 2 ** 31 - 1,
  jpeg: 65500,
  webp: 16383,
  avif: 16384,
  tiff: 2 ** 31 - 1,
};

/**
 * The format that a file name asks for.
 *
 * @throws ConfigError when the ending is unknown, naming those that are known
 */
export function imageFormatOf(path: string): ImageFormat {
  const extension = extname(path).toLowerCase();
  const format = FORMAT_OF_EXTENSION[extension];
  if (format === undefined) {
    const known = Object.keys(FORMAT_OF_EXTENSION).join(", ");
    const got = extension === "" ? "no ending" : `the unknown ending "${extension}"`;
    throw new ConfigError(`${path}: the name has ${got}; pictures are written as ${known}`);
  }
  return format;
}

/**
 * The bytes of a picture file.
 *
 * @throws ConfigError when an option is out of range or has no effect on the format, DataError when the picture is too
 *   large for the format
 */
export async function encodeImage(
  image: Image,
  format: ImageFormat,
  options: EncodeImageOptions = {},
): Promise<Uint8Array> {
  checkOptions("encodeImage", options, ENCODE_IMAGE_OPTIONS);
  checkFormatOptions(format, options);
  const { width, height, data } = image;
  if (Math.max(width, height) > MAX_SIDE[format]) {
    throw new DataError(`${width}x${height} is too large for ${format}, whose sides end at ${MAX_SIDE[format]}`, {
      hint: "Write it as png.",
    });
  }
  const sharp = await loadSharp();
  const pipeline = sharp(data, { raw: { width, height, channels: 3 }, limitInputPixels: false });
  try {
    return await withFormat(pipeline, format, options).toBuffer();
  } catch (error) {
    throw new DataError(`can't encode ${width}x${height} as ${format}: ${firstLine(error)}`, { cause: error });
  }
}

function withFormat(pipeline: Sharp, format: ImageFormat, options: EncodeImageOptions): Sharp {
  const { quality = 95, lossless = false } = options;
  if (format === "png") return pipeline.png();
  if (format === "tiff") return pipeline.tiff({ compression: "deflate", predictor: "horizontal" });
  if (format === "jpeg") return pipeline.jpeg({ quality, chromaSubsampling: "4:4:4" });
  if (format === "webp") return lossless ? pipeline.webp({ lossless }) : pipeline.webp({ quality });
  return lossless ? pipeline.avif({ lossless }) : pipeline.avif({ quality: options.quality ?? 80 });
}

function checkFormatOptions(format: ImageFormat, { quality, lossless }: EncodeImageOptions): void {
  if (quality !== undefined) {
    if (format === "png" || format === "tiff") {
      throw new ConfigError(`quality has no effect on ${format}, which is lossless`);
    }
    if (!Number.isInteger(quality) || quality < 1 || quality > 100) {
      throw new ConfigError(`quality must be an integer from 1 to 100, got ${quality}`);
    }
    if (lossless === true) throw new ConfigError("quality has no effect together with lossless");
  }
  if (lossless !== undefined && format !== "webp" && format !== "avif") {
    throw new ConfigError(`lossless is an option of webp and avif, not of ${format}`);
  }
}

/**
 * The file of a picture in memory, as a response or an upload takes it.
 *
 * @throws as `toImage`; ConfigError for wrong options
 */
export async function toBlob(picture: OnePicture, options: ToBlobOptions = {}): Promise<Blob> {
  checkOptions("toBlob", options, TO_BLOB_OPTIONS);
  const { type, quality } = resolveBlobOptions(options);
  const format = type.slice("image/".length) as "png" | "jpeg" | "webp";
  const bytes = await encodeImage(toImage(picture), format, format === "png" ? {} : { quality });
  return new Blob([bytes as Uint8Array<ArrayBuffer>], { type });
}

/** Options of `saveImage`. */
export interface SaveImageOptions extends EncodeImageOptions {
  /** How a tensor's values become 8 bits; "truncate-half-up" by default. */
  readonly rounding?: Rounding;
  /** Writes a batch as one sheet with this many pictures per row; without it a batch is refused. */
  readonly columns?: number;
}

const SAVE_IMAGE_OPTIONS: OptionNames<SaveImageOptions> = { ...ENCODE_IMAGE_OPTIONS, rounding: true, columns: true };

/**
 * Writes a picture, or a tensor [1, 3, H, W] with values in [-1, 1], to `path`.
 *
 * The ending gives the format: .png, .jpg, .jpeg, .webp, .avif, .tif or .tiff. An existing file is replaced.
 *
 * @throws ConfigError when the ending is unknown or an option has no effect, ShapeError when a tensor has another layout or
 *   holds several pictures and `columns` isn't given, DataError when values are NaN or the file can't be written
 * @example
 * ```ts
 * import { loadImage, saveImage } from "@dcae/core";
 *
 * await saveImage(await loadImage("cat.jpg"), "cat.webp", { quality: 90 });
 * ```
 */
export async function saveImage(content: Image | Tensor, path: string, options: SaveImageOptions = {}): Promise<void> {
  checkOptions("saveImage", options, SAVE_IMAGE_OPTIONS);
  const format = imageFormatOf(path);
  const { rounding, columns, ...encoding } = options;
  let bytes: Uint8Array;
  try {
    const image =
      content instanceof Tensor ? tensorToOneImage(content, rounding, columns) : plainImage(content, rounding, columns);
    bytes = await encodeImage(image, format, encoding);
  } catch (error) {
    if (!(error instanceof DcaeError)) throw error;
    const ErrorType = error.constructor as typeof DcaeError;
    throw new ErrorType(`${path}: ${error.message}`, {
      cause: error,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
    });
  }
  await writeFileAtomic(path, (file) => file.write(bytes));
}

function plainImage(image: Image, rounding: Rounding | undefined, columns: number | undefined): Image {
  if (rounding !== undefined || columns !== undefined) {
    throw new ConfigError("rounding and columns are options for tensors; they have no effect on an Image");
  }
  return image;
}

function tensorToOneImage(tensor: Tensor, rounding: Rounding | undefined, columns: number | undefined): Image {
  const images = tensorToImages(tensor, rounding === undefined ? {} : { rounding });
  if (columns !== undefined) return makeGrid(images, { columns });
  const [image] = images;
  if (image === undefined || images.length > 1) {
    throw new ShapeError(`saveImage: one file holds one picture, but the tensor has ${images.length}`, {
      hint: "Give `columns` to write a sheet, or save each row of the tensor.",
    });
  }
  return image;
}

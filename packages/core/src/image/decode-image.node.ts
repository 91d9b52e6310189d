/**
 * Picture files to 8-bit RGB: by sharp (libvips) in libuv's threads, so that the event loop stays free; SVG in a process of its own;
 * BMP and PNM by small decoders here, since sharp's prebuilt libvips has none.
 *
 * Two sets of options make sense as a whole: the defaults, which give the picture as viewers show it, and `PILLOW_DECODE`, which
 * gives what the reference code reads. 16 bits become 8 by keeping the upper byte, as Pillow and libvips do; grey becomes three
 * equal channels; of an animation the first frame is read. Truncated or damaged files are refused, never read in part. A few files
 * are in work at once, however many are asked for, and none longer than `maxSeconds`.
 */
import type { Metadata, Sharp, SharpOptions } from "sharp";
import { checkOptions, type OptionNames } from "../check-options.js";
import { ConfigError, DataError, DcaeError } from "../errors.js";
import type { Tensor } from "../graph/tensor.js";
import { decodeSvg } from "./decode-svg.node.js";
import { dmCrop } from "./fit-to-multiple.js";
import { decodeBmp } from "./formats/bmp.js";
import { fillOutside, opaqueGif } from "./formats/gif-first-frame.js";
import { isSrgbProfile } from "./formats/icc-profile.js";
import { type PictureFormat, pictureFormat } from "./formats/picture-format.js";
import { decodePnm } from "./formats/pnm.js";
import {
  checkPictureSize,
  createImage,
  type Image,
  imageFromRgba,
  imagesToTensor,
  imageToTensor,
  type RawPicture,
  type Rgb,
  WHITE,
} from "./image.js";
import { openImageSource } from "./image-source.node.js";
import { type ImageSource, imageFromPixels, imageSourceName, isSharp, SIZE_REASONS } from "./picture-source.js";
import { type Region, resizeRegion } from "./resize-image.js";
import { firstLine, limitWork, loadSharp, tooSlow, withinTime } from "./sharp.node.js";

/** How files become pixels: orientation, transparency, color profiles, bounds. */
export interface DecodeOptions {
  /**
   * "exif" (default) turns and mirrors the picture as its EXIF orientation asks; "pillow" turns TIFF files alone, as Pillow's `open`
   * does; "ignore" keeps rows as they are stored.
   */
  readonly orientation?: "exif" | "pillow" | "ignore";
  /**
   * What happens to transparency. "drop" (default, Pillow's `convert("RGB")`, the reference) keeps the stored colors, also
   * of pixels nobody sees (in a GIF those of the palette); "white" or a color puts that behind the picture.
   */
  readonly alpha?: "drop" | "white" | Rgb;
  /**
   * "srgb" (default) converts pictures with another embedded profile (Adobe RGB, Display P3, CMYK inks...) to sRGB, as
   * viewers do; "ignore" keeps the stored numbers as Pillow does, and turns CMYK into RGB by Pillow's formula. Pictures
   * without a profile, or whose profile has sRGB's primaries and curves, are the same under both, except for CMYK.
   */
  readonly colorProfile?: "srgb" | "ignore";
  /** Pictures of more pixels (width times height) are refused before anything is decoded; 2^27 by default. */
  readonly maxPixels?: number;
  /**
   * Pictures that aren't decoded within this time are refused, a whole number of seconds; 60 by default. It is for files made to take
   * forever: pictures of `maxPixels` take some seconds.
   */
  readonly maxSeconds?: number;
}

const DECODE_OPTIONS: OptionNames<DecodeOptions> = {
  orientation: true,
  alpha: true,
  colorProfile: true,
  maxPixels: true,
  maxSeconds: true,
};

/** Reads files as the reference does: Pillow's `open(path).convert("RGB")`. Use it when numbers are to be compared. */
export const PILLOW_DECODE = { orientation: "pillow", alpha: "drop", colorProfile: "ignore" } as const;

/** 134 million: as Pillow's own limit, more than any camera makes, and 1.6 GB as a float32 tensor. */
export const DEFAULT_MAX_PIXELS = 2 ** 27;

const DEFAULT_MAX_SECONDS = 60;
/** What sharp takes. */
const LARGEST_MAX_SECONDS = 3600;

/**
 * The options with their defaults.
 *
 * @throws ConfigError when a value is none of those allowed
 */
function resolveDecodeOptions(options: DecodeOptions): Required<DecodeOptions> {
  const { orientation = "exif", alpha = "drop", colorProfile = "srgb" } = options;
  const { maxPixels = DEFAULT_MAX_PIXELS, maxSeconds = DEFAULT_MAX_SECONDS } = options;
  choice("orientation", orientation, ["exif", "pillow", "ignore"]);
  choice("colorProfile", colorProfile, ["srgb", "ignore"]);
  const isColor =
    Array.isArray(alpha) &&
    alpha.length === 3 &&
    alpha.every((value) => Number.isInteger(value) && value >= 0 && value <= 255);
  if (!isColor) choice("alpha", alpha, ["drop", "white"], " or [red, green, blue] with integers from 0 to 255");
  if (!Number.isSafeInteger(maxPixels) || maxPixels < 1) {
    throw new ConfigError(`decodeImage: maxPixels must be a positive integer, got ${maxPixels}`);
  }
  if (!Number.isInteger(maxSeconds) || maxSeconds < 1 || maxSeconds > LARGEST_MAX_SECONDS) {
    throw new ConfigError(
      `decodeImage: maxSeconds must be an integer from 1 to ${LARGEST_MAX_SECONDS}, got ${maxSeconds}`,
    );
  }
  return { orientation, alpha, colorProfile, maxPixels, maxSeconds };
}

function choice(option: string, value: unknown, allowed: readonly string[], more = ""): void {
  if (typeof value === "string" && allowed.includes(value)) return;
  const names = allowed.map((name) => `"${name}"`).join(" or ");
  throw new ConfigError(`decodeImage: ${option} must be ${names}${more}, got ${JSON.stringify(value)}`);
}

/** libuv's threads: more files at once would only wait for one of them. */
const THREADS = Number(process.env.UV_THREADPOOL_SIZE) || 4;
/** Undecoded bytes of the files in work. */
const BYTES_IN_WORK = 2 ** 28;

const whenItsTurnComes = limitWork({ jobs: THREADS, bytes: BYTES_IN_WORK });

/**
 * Decodes a picture: JPEG, PNG, WebP, AVIF, TIFF, GIF, SVG, BMP, PPM, PGM or PBM.
 *
 * @returns sRGB pixels; see DecodeOptions for what is applied on the way
 * @throws DataError naming the source when it can't be read, isn't a picture, is damaged, is larger than `maxPixels` or takes longer
 *   than `maxSeconds`; ConfigError when an option is invalid
 */
export async function decodeImage(source: ImageSource, options: DecodeOptions = {}): Promise<Image> {
  return (await decodeSource(source, options)).image;
}

/** What is wanted of a picture: its size after resizing, and which part of that. */
export interface ResizePlan {
  readonly width: number;
  readonly height: number;
  readonly region: Region;
}

/** A decoded picture, as `plan` has it or still whole. */
interface Decoded {
  readonly image: Image;
  readonly isPlanned: boolean;
}

/**
 * Decodes a part of a picture at another size, by the fastest way there is: libvips decodes JPEG at a half, a quarter or an eighth and
 * WebP at any size, resizes what is wanted of it, and does the rest of nothing else. What it gives isn't Pillow's to the bit: it is a
 * bicubic resizing of pixels that were shrunk before. Pictures that need more than that (transparency, CMYK, other profiles, 16 bits,
 * GIF, TIFF, BMP, PNM, SVG) are decoded whole and resized by `resizeRegion`.
 *
 * @param plan what is wanted of a picture of this size
 * @throws as `decodeImage`; ShapeError when the region isn't inside of the resized picture
 */
export async function decodeRegion(
  source: ImageSource,
  options: DecodeOptions,
  plan: (width: number, height: number) => ResizePlan,
): Promise<Image> {
  const { image, isPlanned } = await decodeSource(source, options, plan);
  if (isPlanned) return image;
  const { width, height, region } = plan(image.width, image.height);
  return resizeRegion(image, width, height, region);
}

async function decodeSource(
  source: ImageSource,
  options: DecodeOptions,
  plan?: (width: number, height: number) => ResizePlan,
): Promise<Decoded> {
  checkOptions("decodeImage", options, DECODE_OPTIONS, SIZE_REASONS);
  const resolved = resolveDecodeOptions(options);
  const name = imageSourceName(source);
  const inMemory = await imageInMemory(source, options, resolved);
  if (inMemory !== undefined) return { image: inMemory, isPlanned: false };
  const file = await openImageSource(source);
  return whenItsTurnComes(file.size, async () => {
    try {
      return await decodeBytes(await file.read(), resolved, plan);
    } catch (error) {
      throw named(error, name);
    }
  });
}

/**
 * Width and height of a picture as its file stores them, before EXIF turns it. JPEG, PNG, WebP, AVIF, TIFF and GIF say so in their
 * headers, and nothing else of them is decoded; of local files only the start is read, unless the header is somewhere else.
 *
 * @throws DataError naming the source when it can't be read or isn't a picture
 */
export async function readImageSize(source: ImageSource): Promise<{ readonly width: number; readonly height: number }> {
  const inMemory = await imageInMemory(source, {}, resolveDecodeOptions({}));
  if (inMemory !== undefined) return { width: inMemory.width, height: inMemory.height };
  const name = imageSourceName(source);
  const file = await openImageSource(source);
  return whenItsTurnComes(file.size, async () => {
    try {
      const start = file.size > HEADER_BYTES ? await file.readStart?.(HEADER_BYTES) : undefined;
      const early = start && (await headerSize(start));
      if (early !== undefined) return early;
      const bytes = await file.read();
      const format = pictureFormat(bytes);
      if (format === undefined || format === "bmp" || format === "pnm" || format === "svg") {
        const { image } = await decodeBytes(bytes, resolveDecodeOptions(PILLOW_DECODE));
        return { width: image.width, height: image.height };
      }
      const sharp = await loadSharp();
      const { width, height } = await sharp(bytes, { limitInputPixels: false }).metadata();
      return { width, height };
    } catch (error) {
      throw named(error, name);
    }
  });
}

/** Nearly every header ends within so many bytes; where profiles and thumbnails come first, the file is read whole. */
const HEADER_BYTES = 64 * 1024;

/** What the beginning of a file says; undefined where that isn't enough. */
async function headerSize(start: Uint8Array): Promise<{ readonly width: number; readonly height: number } | undefined> {
  const format = pictureFormat(start);
  if (format === undefined || format === "bmp" || format === "pnm" || format === "svg") return undefined;
  const sharp = await loadSharp();
  const { width, height } = await sharp(start, { limitInputPixels: false, failOn: "none" })
    .metadata()
    .catch(() => ({ width: 0, height: 0 }));
  return width > 0 && height > 0 ? { width, height } : undefined;
}

/** The picture of what has decoded it already: pixels, or an instance of sharp, which says itself how it reads. */
async function imageInMemory(
  source: ImageSource,
  given: DecodeOptions,
  resolved: Required<DecodeOptions>,
): Promise<Image | undefined> {
  const pixels = imageFromPixels(source, colorBehind(resolved));
  if (pixels === undefined && !isSharp(source)) return undefined;
  const useless = (["orientation", "colorProfile", "maxSeconds"] as const).find((name) => given[name] !== undefined);
  if (useless !== undefined) {
    throw new ConfigError(
      `decodeImage: ${useless} has no effect on ${imageSourceName(source)}, which decodes by itself`,
    );
  }
  if (pixels !== undefined) {
    checkPictureSize(pixels.width, pixels.height, resolved.maxPixels);
    return pixels;
  }
  const name = imageSourceName(source);
  try {
    // A clone: the caller may go on with the instance. Its type is that of whichever version of sharp the caller has.
    const { data, info } = await (source as Sharp)
      .clone()
      .toColourspace("srgb")
      .raw({ depth: "uchar" })
      .toBuffer({ resolveWithObject: true });
    checkPictureSize(info.width, info.height, resolved.maxPixels);
    return toImage(withColors(toBytes(data, info), info), resolved);
  } catch (error) {
    throw named(error, name);
  }
}

/** Grey, with or without transparency, as three equal channels; sharp gives it where it was told to make a picture grey. */
function withColors(data: Uint8Array, { width, height, channels }: RawInfo): RawPicture {
  if (channels === 3 || channels === 4) return { width, height, channels, data };
  if (channels !== 1 && channels !== 2) throw new DataError(`it has ${channels} channels`);
  const colored = channels === 1 ? 3 : 4;
  const out = new Uint8Array(width * height * colored);
  for (let from = 0, to = 0; from < data.length; from += channels, to += colored) {
    out.fill(data[from] as number, to, to + 3);
    if (channels === 2) out[to + 3] = data[from + 1] as number;
  }
  return { width, height, channels: colored, data: out };
}

/** The error with the picture's name, once. */
function named(error: unknown, name: string): unknown {
  if (error instanceof DataError) {
    if (error.message.startsWith(`${name}: `)) return error;
    const { hint } = error;
    return new DataError(`${name}: ${error.message}`, { cause: error, ...(hint === undefined ? {} : { hint }) });
  }
  if (error instanceof DcaeError) return error;
  return new DataError(`${name}: can't be read as a picture: ${firstLine(error)}`, { cause: error });
}

async function decodeBytes(
  bytes: Uint8Array,
  options: Required<DecodeOptions>,
  plan?: (width: number, height: number) => ResizePlan,
): Promise<Decoded> {
  const { maxPixels, maxSeconds } = options;
  const format = pictureFormat(bytes);
  const whole = (image: Image): Decoded => ({ image, isPlanned: false });
  switch (format) {
    case undefined:
      throw new DataError("can't be read as a picture: not a JPEG, PNG, WebP, AVIF, TIFF, GIF, SVG, BMP or PNM file");
    case "bmp":
      return whole(toImage(decodeBmp(bytes, maxPixels), options));
    case "pnm":
      return whole(toImage(decodePnm(bytes, maxPixels), options));
    case "svg":
      return whole(toImage(await decodeSvg(bytes, maxPixels, maxSeconds), options));
    default:
      // sharp's own limit ends the work as soon as libvips looks at the clock; until then nobody waits for it.
      return withinTime(maxSeconds, decodeBySharp(bytes, format, options, plan));
  }
}

async function decodeBySharp(
  original: Uint8Array,
  format: PictureFormat,
  options: Required<DecodeOptions>,
  plan?: (width: number, height: number) => ResizePlan,
): Promise<Decoded> {
  const sharp = await loadSharp();
  const gif = format === "gif" && options.alpha === "drop" ? opaqueGif(original) : undefined;
  const bytes = gif?.bytes ?? original;
  const metadata = await sharp(bytes, { limitInputPixels: false }).metadata();
  checkMetadata(metadata, options.maxPixels);
  const turned = options.orientation === "exif" || (options.orientation === "pillow" && format === "tiff");
  const pipeline = configure(metadata, options, (sharpOptions) =>
    sharp(bytes, { ...sharpOptions, autoOrient: turned }).timeout({ seconds: options.maxSeconds }),
  );
  const isPlanned = plan !== undefined && !turned && isPlain(format, metadata);
  if (isPlanned) {
    const { width, height, region } = plan(metadata.width, metadata.height);
    pipeline.resize(width, height, { fit: "fill", kernel: "cubic" }).extract(region);
  }
  const { data, info } = await pipeline.toBuffer({ resolveWithObject: true }).catch((error: unknown) => {
    throw /^timeout:/i.test(firstLine(error)) ? tooSlow(options.maxSeconds) : error;
  });
  const samples = toBytes(data, info);
  if (gif !== undefined) fillOutside(gif, { ...info, data: samples });
  return { image: toRgb(samples, info, metadata, options), isPlanned };
}

/** Whether resizing before anything else gives what resizing at the end would: 8 bits, opaque, no inks or profiles to be converted. */
function isPlain(format: PictureFormat, { depth, hasAlpha, space }: Metadata): boolean {
  const isKnown = format === "jpeg" || format === "webp" || format === "png";
  return isKnown && depth === "uchar" && !hasAlpha && (space === "srgb" || space === "b-w");
}

function checkMetadata({ width, height, depth }: Metadata, maxPixels: number): void {
  checkPictureSize(width, height, maxPixels);
  if (depth !== "uchar" && depth !== "ushort") {
    throw new DataError(`its samples are of type ${depth}; only integers of up to 16 bits are read`, {
      hint: "Convert it to 8 or 16 bits per channel first.",
    });
  }
}

/** Whether the picture is read as ink amounts and converted here. */
function usesInk(metadata: Metadata, options: Required<DecodeOptions>): boolean {
  return metadata.space === "cmyk" && options.colorProfile === "ignore";
}

function configure(
  metadata: Metadata,
  options: Required<DecodeOptions>,
  open: (options: SharpOptions) => Sharp,
): Sharp {
  const { icc, channels, depth } = metadata;
  const convert = options.colorProfile === "srgb" && icc !== undefined && !isSrgbProfile(icc);
  const pipeline = open({
    failOn: "error",
    limitInputPixels: options.maxPixels,
    ignoreIcc: !convert,
  });
  if (usesInk(metadata, options)) {
    return pipeline.pipelineColourspace("cmyk").toColourspace("cmyk").raw({ depth: "uchar" });
  }
  if (convert && depth === "ushort") {
    // sharp works on 16-bit colors in Display P3, so a second conversion is needed; on 16-bit grey it ignores profiles.
    if (channels > 2) return pipeline.toColourspace("rgb16").withIccProfile("srgb").raw({ depth: "ushort" });
    pipeline.pipelineColourspace("b-w");
  }
  return pipeline.toColourspace("srgb").raw({ depth: "uchar" });
}

interface RawInfo {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
}

/** 8-bit samples; 16-bit ones (which were converted, so that there is no stored upper byte to keep) are rounded. */
function toBytes(data: Uint8Array, { width, height, channels }: RawInfo): Uint8Array {
  const length = width * height * channels;
  if (data.length === length) return new Uint8Array(data.buffer, data.byteOffset, length);
  if (data.length !== 2 * length) throw new DataError(`expected ${length} samples, got ${data.length} bytes`);
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const littleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
  return Uint8Array.from({ length }, (_, i) => Math.round(view.getUint16(2 * i, littleEndian) / 257));
}

function toRgb(data: Uint8Array, info: RawInfo, metadata: Metadata, options: Required<DecodeOptions>): Image {
  const { width, height, channels } = info;
  if (usesInk(metadata, options)) return inkToRgb(data, info);
  if (channels === 3 || channels === 4) return toImage({ width, height, channels, data }, options);
  throw new DataError(`expected 3 or 4 channels after conversion to sRGB, got ${channels}`);
}

function toImage(
  { width, height, channels, data }: RawPicture,
  { alpha }: Pick<Required<DecodeOptions>, "alpha">,
): Image {
  if (channels === 3) return createImage(width, height, data);
  return imageFromRgba({ width, height, data }, colorBehind({ alpha }));
}

function colorBehind({ alpha }: Pick<Required<DecodeOptions>, "alpha">): "drop" | Rgb {
  return alpha === "white" ? WHITE : alpha;
}

/** Pillow's conversion of CMYK (255 is full ink): each ink takes its share of what black leaves. */
function inkToRgb(data: Uint8Array, info: RawInfo): Image {
  const image = createImage(info.width, info.height);
  for (let from = 0, to = 0; to < image.data.length; from += info.channels, to += 3) {
    const light = 255 - (data[from + 3] as number);
    for (let ink = 0; ink < 3; ink++) {
      image.data[to + ink] = light - Math.floor(((data[from + ink] as number) * light) / 255 + 0.5);
    }
  }
  return image;
}

/** Options of `loadImage` in Node: how files become pixels, and to which size. */
export interface LoadImageOptions extends DecodeOptions {
  /** Scales and cuts to this size with dmCrop: the side of a square, or [height, width]. By default the size is kept. */
  readonly size?: number | readonly [height: number, width: number];
}

const LOAD_IMAGE_OPTIONS: OptionNames<LoadImageOptions> = { ...DECODE_OPTIONS, size: true };

/**
 * Reads a picture as tensor [1, 3, H, W], float32 in [-1, 1].
 *
 * @throws DataError naming the source when it can't be read (see decodeImage)
 * @example
 * ```ts
 * import { loadImage, loadImages } from "@dcae/core";
 *
 * const one = await loadImage("cat.jpg", { size: 256 }); // scaled and cut to 256x256
 * const batch = await loadImages(["cat.jpg", "dog.png"], { size: 256 }); // [2, 3, 256, 256] in [-1, 1]
 * ```
 */
export async function loadImage(source: ImageSource, options: LoadImageOptions = {}): Promise<Tensor<"float32">> {
  checkOptions("loadImage", options, LOAD_IMAGE_OPTIONS, SIZE_REASONS);
  const { size, ...decode } = options;
  const image = await decodeImage(source, decode);
  return imageToTensor(size === undefined ? image : dmCrop(image, size));
}

/**
 * Reads pictures as one batch [N, 3, H, W], float32 in [-1, 1].
 *
 * @throws ShapeError when sizes differ (give `size`), DataError when one can't be read
 */
export async function loadImages(
  sources: readonly ImageSource[],
  options: LoadImageOptions = {},
): Promise<Tensor<"float32">> {
  checkOptions("loadImages", options, LOAD_IMAGE_OPTIONS, SIZE_REASONS);
  const { size, ...decode } = options;
  const images = await Promise.all(
    sources.map(async (source) => {
      const image = await decodeImage(source, decode);
      return size === undefined ? image : dmCrop(image, size);
    }),
  );
  return imagesToTensor(images);
}

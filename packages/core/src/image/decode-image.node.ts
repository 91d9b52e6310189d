/**
 * Picture files to 8-bit RGB, by sharp (libvips) in libuv's threads: the event loop stays free.
 *
 * 16 bits become 8 by keeping the upper byte, as Pillow and libvips do; grey becomes three equal channels; of an animation
 * the first frame is read. Truncated or damaged files are refused, never read in part.
 */
import type { Metadata, Sharp, SharpOptions } from "sharp";
import { DataError, DcaeError } from "../errors.js";
import { type DecodeOptions, resolveDecodeOptions } from "./decode-options.js";
import { isSrgbProfile } from "./icc-profile.js";
import { createImage, type Image, imageFromRgba, type Rgb, WHITE } from "./image.js";
import { type ImageSource, imageSourceName, readImageSource } from "./image-source.node.js";
import { firstLine, loadSharp } from "./sharp.node.js";

/**
 * Decodes a picture: JPEG, PNG, WebP, AVIF, TIFF, GIF or SVG.
 *
 * @returns sRGB pixels; see DecodeOptions for what is applied on the way
 * @throws DataError naming the source when it can't be read, isn't a picture, is damaged, or is larger than `maxPixels`;
 *   ConfigError when an option is invalid
 */
export async function decodeImage(source: ImageSource, options: DecodeOptions = {}): Promise<Image> {
  const resolved = resolveDecodeOptions(options);
  const name = imageSourceName(source);
  const bytes = await readImageSource(source);
  const sharp = await loadSharp();
  try {
    const metadata = await sharp(bytes, { limitInputPixels: false }).metadata();
    checkMetadata(metadata, name, resolved.maxPixels);
    const pipeline = configure(metadata, resolved, (sharpOptions) => sharp(bytes, sharpOptions));
    const { data, info } = await pipeline.toBuffer({ resolveWithObject: true });
    return toRgb(toBytes(data, info), info, metadata, resolved);
  } catch (error) {
    if (error instanceof DcaeError) throw error;
    throw new DataError(`${name}: can't be read as a picture: ${describe(error)}`, { cause: error });
  }
}

function describe(error: unknown): string {
  const line = firstLine(error);
  return /unsupported image format/i.test(line) ? "not a JPEG, PNG, WebP, AVIF, TIFF, GIF or SVG file" : line;
}

function checkMetadata(metadata: Metadata, name: string, maxPixels: number): void {
  const { width, height, depth } = metadata;
  if (width * height > maxPixels) {
    throw new DataError(`${name}: ${width}x${height} has more pixels than the limit of ${maxPixels}`, {
      hint: "If the file can be trusted, raise maxPixels.",
    });
  }
  if (depth !== "uchar" && depth !== "ushort") {
    throw new DataError(`${name}: its samples are of type ${depth}; only integers of up to 16 bits are read`, {
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
    autoOrient: options.orientation === "exif",
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
  if (channels === 3) return createImage(width, height, data);
  if (channels === 4) {
    const alpha: "drop" | Rgb = options.alpha === "white" ? WHITE : options.alpha;
    return imageFromRgba({ width, height, data }, alpha);
  }
  throw new DataError(`expected 3 or 4 channels after conversion to sRGB, got ${channels}`);
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

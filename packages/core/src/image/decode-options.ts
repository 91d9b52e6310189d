/**
 * Choices in reading a picture file that change pixels. Two sets make sense as a whole: the defaults, which give the
 * picture as viewers show it, and `PILLOW_DECODE`, which gives what the reference code reads.
 */
import { ConfigError } from "../errors.js";
import type { Rgb } from "./image.js";

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
export function resolveDecodeOptions(options: DecodeOptions): Required<DecodeOptions> {
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

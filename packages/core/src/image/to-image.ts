/** Pictures out of a model, for whatever shows or keeps them. */
import type { OptionNames } from "../check-options.js";
import { ConfigError, ShapeError } from "../errors.js";
import { Tensor } from "../graph/tensor.js";
import { type Image, type TensorToImagesOptions, tensorToImage } from "./image.js";
import { imageFromPixels, notAPicture, type RgbaPixels } from "./picture-source.js";

/** One picture: a tensor [1, 3, H, W] or [3, H, W] in [-1, 1], or pixels. */
export type OnePicture = Tensor | Image | RgbaPixels;

/**
 * One picture as 8-bit pixels.
 *
 * @throws ShapeError for a tensor of several pictures or another layout, DataError for NaN and for what is no picture, ConfigError where
 *   `rounding` is given for pixels
 * @example
 * ```ts
 * import { Tensor, toImage } from "@dcae/core";
 *
 * const { width, height, data } = await toImage(Tensor.zeros([3, 32, 32])); // gray: 0 is the middle of [-1, 1]
 * console.log(width, height, data[0]); // 32 32 128
 * ```
 */
export function toImage(picture: OnePicture, options: TensorToImagesOptions = {}): Image {
  if (picture instanceof Tensor) {
    if (picture.rank === 4 && (picture.shape[0] as number) > 1) {
      throw new ShapeError(`toImage: expected one picture, got ${picture.shape[0]}`, {
        hint: "Take one by tensor.row(i), or all of them by tensorToImages.",
      });
    }
    return tensorToImage(picture.rank === 3 ? picture.reshape([1, ...picture.shape]) : picture, options);
  }
  if (options.rounding !== undefined)
    throw new ConfigError("toImage: rounding has no effect on pixels, it is for tensors");
  const image = imageFromPixels(picture);
  if (image === undefined) throw notAPicture("toImage", picture);
  return image;
}

/** The types of `toBlob`. */
export const BLOB_TYPES = ["image/png", "image/jpeg", "image/webp"] as const;

/** Options of `toBlob`. */
export interface ToBlobOptions {
  /** Default "image/png". */
  readonly type?: (typeof BLOB_TYPES)[number];
  /** 1 to 100, for jpeg and webp. Default 95. */
  readonly quality?: number;
}

export const TO_BLOB_OPTIONS: OptionNames<ToBlobOptions> = { type: true, quality: true };

/** @throws ConfigError for types and qualities that aren't there */
export function resolveBlobOptions({ type = "image/png", quality }: ToBlobOptions): Required<ToBlobOptions> {
  if (!BLOB_TYPES.includes(type)) {
    throw new ConfigError(`toBlob: type "${String(type)}" is unknown`, { hint: `Use ${BLOB_TYPES.join(", ")}.` });
  }
  if (quality !== undefined && type === "image/png") {
    throw new ConfigError("toBlob: quality has no effect on image/png, which is lossless");
  }
  if (quality !== undefined && !(Number.isInteger(quality) && quality >= 1 && quality <= 100)) {
    throw new ConfigError(`toBlob: quality must be an integer from 1 to 100, got ${quality}`);
  }
  return { type, quality: quality ?? 95 };
}

/**
 * A picture file as model input.
 */
import type { Tensor } from "../graph/tensor.js";
import { dmCrop } from "./crop-image.js";
import type { DecodeOptions } from "./decode-image.node.js";
import { decodeImage } from "./decode-image.node.js";
import type { ImageSource } from "./image-source.node.js";
import { imagesToTensor, imageToTensor } from "./image-tensor.js";

export interface LoadImageOptions extends DecodeOptions {
  /** Scales and cuts to this size with dmCrop: the side of a square, or [height, width]. By default the size is kept. */
  readonly size?: number | readonly [height: number, width: number];
}

/**
 * Reads a picture as tensor [1, 3, H, W], float32 in [-1, 1].
 *
 * @throws DataError naming the source when it can't be read (see decodeImage)
 */
export async function loadImage(source: ImageSource, options: LoadImageOptions = {}): Promise<Tensor<"float32">> {
  const image = await decodeImage(source, options);
  return imageToTensor(options.size === undefined ? image : dmCrop(image, options.size));
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
  const { size } = options;
  const images = await Promise.all(
    sources.map(async (source) => {
      const image = await decodeImage(source, options);
      return size === undefined ? image : dmCrop(image, size);
    }),
  );
  return imagesToTensor(images);
}

/**
 * Pictures to files: the format follows the name, and a file appears whole or not at all.
 */
import { writeFileAtomic } from "../checkpoint/atomic-file.node.js";
import { ConfigError, DcaeError, ShapeError } from "../errors.js";
import { Tensor } from "../graph/tensor.js";
import { type EncodeImageOptions, encodeImage, imageFormatOf } from "./encode-image.node.js";
import type { Image } from "./image.js";
import { makeGrid } from "./make-grid.js";
import { type Rounding, tensorToImages } from "./tensor-to-images.js";

export interface SaveImageOptions extends EncodeImageOptions {
  /** How a tensor's values become 8 bits; "truncate-half-up" by default. */
  readonly rounding?: Rounding;
  /** Writes a batch as one sheet with this many pictures per row; without it a batch is refused. */
  readonly columns?: number;
}

/**
 * Writes a picture, or a tensor [1, 3, H, W] with values in [-1, 1], to `path`.
 *
 * The ending gives the format: .png, .jpg, .jpeg, .webp, .avif, .tif or .tiff. An existing file is replaced.
 *
 * @throws ConfigError when the ending is unknown or an option has no effect, ShapeError when a tensor has another layout or
 *   holds several pictures and `columns` isn't given, DataError when values are NaN or the file can't be written
 */
export async function saveImage(content: Image | Tensor, path: string, options: SaveImageOptions = {}): Promise<void> {
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

/**
 * 8-bit RGB pictures in memory: what files decode to, and what metrics and grids are made of.
 *
 * The layout is that of Pillow, sharp and canvas (rows of interleaved channels); models take tensors, which are planar.
 * No Node, no DOM: works everywhere.
 */
import { checkOptions, type OptionNames } from "../check-options.js";
import { DataError, ShapeError } from "../errors.js";
import { Tensor } from "../graph/tensor.js";

/** An RGB picture, 8 bits per channel: pixel (x, y) lies at `data[(y * width + x) * 3]`. */
export interface Image {
  /** Pixels per row, at least 1. */
  readonly width: number;
  /** Rows, at least 1. */
  readonly height: number;
  /** Always 3: red, green, blue. */
  readonly channels: 3;
  /** Rows from top to bottom, `height * width * 3` bytes, sRGB values as files store them. */
  readonly data: Uint8Array;
}

/** A color as red, green and blue, each 0 to 255. */
export type Rgb = readonly [red: number, green: number, blue: number];

/** [255, 255, 255]. */
export const WHITE: Rgb = [255, 255, 255];
/** [0, 0, 0]. */
export const BLACK: Rgb = [0, 0, 0];

/**
 * A picture over `data` (not copied), or filled with a color.
 *
 * @throws ShapeError when sizes aren't positive integers or the data has another length than `width * height * 3`
 */
export function createImage(width: number, height: number, content: Uint8Array | Rgb = BLACK): Image {
  if (!Number.isSafeInteger(width) || !Number.isSafeInteger(height) || width < 1 || height < 1) {
    throw new ShapeError(`createImage: width and height must be positive integers, got ${width}x${height}`);
  }
  const length = width * height * 3;
  if (content instanceof Uint8Array) {
    if (content.length !== length) {
      throw new ShapeError(
        `createImage: ${width}x${height} RGB needs ${length} bytes, but the data has ${content.length}`,
      );
    }
    return { width, height, channels: 3, data: content };
  }
  const data = new Uint8Array(length);
  const [red, green, blue] = content;
  if (red === green && green === blue) data.fill(red);
  else {
    for (let i = 0; i < length; i += 3) {
      data[i] = red;
      data[i + 1] = green;
      data[i + 2] = blue;
    }
  }
  return { width, height, channels: 3, data };
}

/**
 * The rectangle `width` x `height` whose top left corner is (left, top). The picture itself when that is all of it.
 *
 * @throws ShapeError when the rectangle isn't inside of the picture
 */
export function cropImage(image: Image, left: number, top: number, width: number, height: number): Image {
  const inside =
    [left, top, width, height].every((value) => Number.isSafeInteger(value)) &&
    left >= 0 &&
    top >= 0 &&
    width >= 1 &&
    height >= 1 &&
    left + width <= image.width &&
    top + height <= image.height;
  if (!inside) {
    throw new ShapeError(
      `cropImage: ${width}x${height} at (${left}, ${top}) isn't inside of a picture of ${image.width}x${image.height}`,
    );
  }
  if (width === image.width && height === image.height) return image;
  const result = createImage(width, height);
  for (let y = 0; y < height; y++) {
    const start = ((top + y) * image.width + left) * 3;
    result.data.set(image.data.subarray(start, start + width * 3), y * width * 3);
  }
  return result;
}

/**
 * A picture from RGBA pixels, such as the `ImageData` of a canvas.
 *
 * @param alpha "drop" keeps the stored colors; a color is what lies behind transparent pixels
 * @throws DataError when the data doesn't hold `width * height` RGBA pixels
 */
export function imageFromRgba(
  rgba: { readonly width: number; readonly height: number; readonly data: Uint8Array | Uint8ClampedArray },
  alpha: "drop" | Rgb = "drop",
): Image {
  const { width, height, data } = rgba;
  if (data.length !== width * height * 4) {
    throw new DataError(`imageFromRgba: ${width}x${height} RGBA needs ${width * height * 4} bytes, got ${data.length}`);
  }
  const image = createImage(width, height);
  const out = image.data;
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    const opacity = alpha === "drop" ? 255 : (data[from + 3] as number);
    for (let channel = 0; channel < 3; channel++) {
      const value = data[from + channel] as number;
      const behind = alpha === "drop" ? 0 : (alpha[channel] as number);
      out[to + channel] = Math.floor((value * opacity + behind * (255 - opacity)) / 255 + 0.5);
    }
  }
  return image;
}

/** Rows of interleaved RGB or RGBA, 8 bits per sample. */
export interface RawPicture {
  readonly width: number;
  readonly height: number;
  readonly channels: 3 | 4;
  readonly data: Uint8Array;
}

/**
 * Refuses sizes before memory is taken for them.
 *
 * @throws DataError for sides below 1 and for more pixels than allowed
 */
export function checkPictureSize(width: number, height: number, maxPixels: number): void {
  if (!(width >= 1 && height >= 1)) throw new DataError(`its size is ${width}x${height}`);
  if (width * height > maxPixels) {
    throw new DataError(`${width}x${height} has more pixels than the limit of ${maxPixels}`, {
      hint: "If the file can be trusted, raise maxPixels.",
    });
  }
}

/** @throws DataError always: the file ends before its pixels do */
export function endsEarly(): never {
  throw new DataError("the file ends before its pixels do");
}

// Between pictures and tensors.
//
// Model input is planar float32 in [-1, 1], bit-equal to the reference's `(u8 / 255 - 0.5) / 0.5` in float32.
//
// Model output becomes 8 bits by either of the two public conventions: "truncate-half-up" is `trunc(clamp(255 v + 0.5, 0, 255))`
// with `v = y / 2 + 1 / 2` (evaluation and saved pictures of the official code); "half-even" is the nearest integer, ties to even,
// of `255 clamp(v, 0, 1)` (diffusers pipelines). Both in float32, step by step. They differ only where 255 v is within rounding of
// a half.

/** The 256 possible results, each step rounded to float32 as the reference does (the last division is exact). */
const NORMALIZED = Float32Array.from({ length: 256 }, (_, value) => (Math.fround(value / 255) - 0.5) / 0.5);

function writePlanes(image: Image, out: Float32Array, offset: number): void {
  const { data } = image;
  const plane = image.width * image.height;
  let red = offset;
  let green = offset + plane;
  let blue = offset + 2 * plane;
  for (let i = 0; i < data.length; i += 3) {
    out[red++] = NORMALIZED[data[i] as number] as number;
    out[green++] = NORMALIZED[data[i + 1] as number] as number;
    out[blue++] = NORMALIZED[data[i + 2] as number] as number;
  }
}

/** A picture as tensor [1, 3, H, W], float32 in [-1, 1], channels red, green, blue. */
export function imageToTensor(image: Image): Tensor<"float32"> {
  const out = new Float32Array(image.data.length);
  writePlanes(image, out, 0);
  return new Tensor("float32", out, [1, 3, image.height, image.width]);
}

/**
 * Pictures of one size as tensor [N, 3, H, W], float32 in [-1, 1].
 *
 * @throws ShapeError when there is no picture or sizes differ
 */
export function imagesToTensor(images: readonly Image[]): Tensor<"float32"> {
  const first = images[0];
  if (first === undefined) throw new ShapeError("imagesToTensor: expected at least one image, got none");
  const { width, height } = first;
  const size = 3 * width * height;
  const out = new Float32Array(images.length * size);
  images.forEach((image, index) => {
    if (image.width !== width || image.height !== height) {
      throw new ShapeError(
        `imagesToTensor: image ${index} is ${image.width}x${image.height}, but image 0 is ${width}x${height}`,
        { hint: "Crop or resize them to one size first, as with dmCrop." },
      );
    }
    writePlanes(image, out, index * size);
  });
  return new Tensor("float32", out, [images.length, 3, height, width]);
}

/** How values become integers: halves upwards (the official evaluation), or to the even neighbor (NumPy). */
export type Rounding = "truncate-half-up" | "half-even";

/** Options of `tensorToImage` and `tensorToImages`. */
export interface TensorToImagesOptions {
  /** How values become integers; "truncate-half-up" by default, as in the official evaluation. */
  readonly rounding?: Rounding;
}

const TO_IMAGES_OPTIONS: OptionNames<TensorToImagesOptions> = { rounding: true };

const { fround } = Math;

function truncateHalfUp(y: number): number {
  const scaled = fround(fround(255 * fround(y * 0.5 + 0.5)) + 0.5);
  return scaled <= 0 ? 0 : scaled >= 255 ? 255 : Math.trunc(scaled);
}

function halfEven(y: number): number {
  const v = fround(y * 0.5 + 0.5);
  const scaled = fround(255 * (v <= 0 ? 0 : v >= 1 ? 1 : v));
  const low = Math.floor(scaled);
  const rest = scaled - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low;
}

/**
 * Pictures of a tensor [N, 3, H, W] with values in [-1, 1]; values outside of the range are clamped.
 *
 * @throws ShapeError when the tensor has another layout, DataError when a value is NaN (a model that overflowed must
 *   not look like a black picture)
 */
export function tensorToImages(tensor: Tensor, options: TensorToImagesOptions = {}): Image[] {
  checkOptions("tensorToImages", options, TO_IMAGES_OPTIONS);
  const [count = 0, channels, height = 0, width = 0] = tensor.shape;
  if (tensor.rank !== 4 || channels !== 3 || height < 1 || width < 1) {
    throw new ShapeError(`tensorToImages: expected a tensor [N, 3, H, W], got [${tensor.shape.join(", ")}]`);
  }
  const { rounding = "truncate-half-up" } = options;
  const quantize = rounding === "half-even" ? halfEven : truncateHalfUp;
  const values = tensor.toFloat32();
  const plane = height * width;
  return Array.from({ length: count }, (_, index) => {
    const image = createImage(width, height);
    const out = image.data;
    const start = index * 3 * plane;
    for (let channel = 0; channel < 3; channel++) {
      let from = start + channel * plane;
      for (let to = channel; to < out.length; to += 3) {
        const value = values[from++] as number;
        if (Number.isNaN(value)) {
          throw new DataError(`tensorToImages: image ${index} has NaN at element ${from - 1 - start}`, {
            hint: "The model computed invalid numbers: check its weights, or use float32 if it ran in float16.",
          });
        }
        out[to] = quantize(value);
      }
    }
    return image;
  });
}

/**
 * The one picture of a tensor [1, 3, H, W].
 *
 * @throws ShapeError when the tensor holds several pictures or has another layout
 */
export function tensorToImage(tensor: Tensor, options: TensorToImagesOptions = {}): Image {
  if (tensor.shape[0] !== 1) {
    throw new ShapeError(`tensorToImage: expected a tensor [1, 3, H, W], got [${tensor.shape.join(", ")}]`, {
      hint: "Use tensorToImages for a batch.",
    });
  }
  return tensorToImages(tensor, options)[0] as Image;
}

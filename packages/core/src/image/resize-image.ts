/**
 * Resizing of 8-bit pictures, byte for byte as Pillow's `Image.resize` does it, and Pillow's resampling kernels: separable,
 * antialiased when shrinking.
 *
 * For an axis of n pixels that becomes m: a kernel of half-width S is stretched by max(n / m, 1), centered at
 * (i + 0.5) n / m for output i, sampled at pixel centers and normalized to sum 1. Positions outside of the picture get
 * no weight. Sine and cosine (Lanczos, Hamming) are our own series, so weights are the same on every platform.
 *
 * First along rows, then along columns, each pass rounding to 8 bits; a pass whose size doesn't change is left out. Weights are
 * integers with 22 fractional bits, sums are exact, so there is nothing that could differ between platforms.
 * Source: dcae.md section 8; checked against Pillow.
 */
import { ShapeError } from "../errors.js";
import { cosineOfTurn, sineOfTurn } from "../graph/deterministic-math.js";
import { Tensor } from "../graph/tensor.js";
import { createImage, cropImage, type Image } from "./image.js";

/** Pillow's filters for resizing. */
export type ResampleFilter = "box" | "bilinear" | "hamming" | "bicubic" | "lanczos";

interface Kernel {
  /** Half-width in source pixels at scale 1. */
  readonly support: number;
  readonly at: (t: number) => number;
}

/** sin(pi t) / (pi t). */
function sinc(t: number): number {
  return t === 0 ? 1 : sineOfTurn(t / 2) / (Math.PI * t);
}

const CUBIC_A = -0.5;
// Pillow writes these two as float32 constants.
const HAMMING_MEAN = Math.fround(0.54);
const HAMMING_SWING = Math.fround(0.46);

export const RESAMPLE_KERNELS: Readonly<Record<ResampleFilter, Kernel>> = {
  box: { support: 0.5, at: (t) => (t > -0.5 && t <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, at: (t) => Math.max(1 - Math.abs(t), 0) },
  hamming: {
    support: 1,
    at: (t) => (Math.abs(t) < 1 ? sinc(t) * (HAMMING_MEAN + HAMMING_SWING * cosineOfTurn(t / 2)) : 0),
  },
  bicubic: {
    support: 2,
    at(t) {
      const d = Math.abs(t);
      if (d < 1) return ((CUBIC_A + 2) * d - (CUBIC_A + 3)) * d * d + 1;
      return d < 2 ? (((d - 5) * d + 8) * d - 4) * CUBIC_A : 0;
    },
  },
  lanczos: { support: 3, at: (t) => (t >= -3 && t < 3 ? sinc(t) * sinc(t / 3) : 0) },
};

/** Weights of one axis: output `i` is the sum over `j` of `weights[i * taps + j] * source[first[i] + j]`. */
interface ResampleWeights {
  /** Weights per output; unused ones at the end of a row are 0. */
  readonly taps: number;
  /** Index of the first source pixel of each output. */
  readonly first: Int32Array;
  /** Source pixels of each output. */
  readonly count: Int32Array;
  /** Each row sums to 1. */
  readonly weights: Float64Array;
}

/** Weights that resample `from` pixels to `to` pixels. */
export function resampleWeights(from: number, to: number, filter: ResampleFilter): ResampleWeights {
  const kernel = RESAMPLE_KERNELS[filter];
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  // Pillow multiplies by the reciprocal; dividing would differ in the last bit of some float results.
  const shrink = 1 / stretch;
  const support = kernel.support * stretch;
  const taps = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(to);
  const count = new Int32Array(to);
  const weights = new Float64Array(to * taps);
  for (let i = 0; i < to; i++) {
    const center = (i + 0.5) * scale;
    const low = Math.max(Math.trunc(center - support + 0.5), 0);
    const high = Math.min(Math.trunc(center + support + 0.5), from);
    let sum = 0;
    for (let j = 0; j < high - low; j++) {
      const weight = kernel.at((j + low - center + 0.5) * shrink);
      weights[i * taps + j] = weight;
      sum += weight;
    }
    for (let j = 0; j < high - low; j++) weights[i * taps + j] = (weights[i * taps + j] as number) / sum;
    first[i] = low;
    count[i] = high - low;
  }
  return { taps, first, count, weights };
}

// 32 bits less 8 for the pixel and 2 for sums beyond 1: 255 * 2^22 * 2 fits into a signed 32-bit integer.
const FRACTION_BITS = 22;
const HALF = 1 << (FRACTION_BITS - 1);

function fixedPoint({ weights }: ResampleWeights): Int32Array {
  return Int32Array.from(weights, (weight) => Math.trunc(weight * 2 ** FRACTION_BITS + (weight < 0 ? -0.5 : 0.5)));
}

function toByte(sum: number): number {
  const value = sum >> FRACTION_BITS;
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

/** Positions `start` to `stop` (excluded) of an axis. */
interface Span {
  readonly start: number;
  readonly stop: number;
}

/** The columns `wanted` of these rows at another width; what is above and below `rows` isn't computed. */
function resizeRows(image: Image, axis: ResampleWeights, wanted: Span, rows: Span): Image {
  const { taps, first, count } = axis;
  const weights = fixedPoint(axis);
  const result = createImage(wanted.stop - wanted.start, rows.stop - rows.start);
  const { data } = image;
  const out = result.data;
  let to = 0;
  for (let y = rows.start; y < rows.stop; y++) {
    const row = y * image.width * 3;
    for (let x = wanted.start; x < wanted.stop; x++) {
      let from = row + (first[x] as number) * 3;
      let red = HALF;
      let green = HALF;
      let blue = HALF;
      const end = x * taps + (count[x] as number);
      for (let k = x * taps; k < end; k++) {
        const weight = weights[k] as number;
        red = (red + Math.imul(data[from] as number, weight)) | 0;
        green = (green + Math.imul(data[from + 1] as number, weight)) | 0;
        blue = (blue + Math.imul(data[from + 2] as number, weight)) | 0;
        from += 3;
      }
      out[to] = toByte(red);
      out[to + 1] = toByte(green);
      out[to + 2] = toByte(blue);
      to += 3;
    }
  }
  return result;
}

/** The rows `wanted` at another height, of an image that begins with row `top` of the one that the weights are for. */
function resizeColumns(image: Image, axis: ResampleWeights, wanted: Span, top: number): Image {
  const { taps, first, count } = axis;
  const weights = fixedPoint(axis);
  const result = createImage(image.width, wanted.stop - wanted.start);
  const { data } = image;
  const out = result.data;
  const stride = image.width * 3;
  const sums = new Int32Array(stride);
  for (let y = wanted.start; y < wanted.stop; y++) {
    sums.fill(HALF);
    // Whole rows are added up one after the other, which reads memory in order.
    for (let j = 0; j < (count[y] as number); j++) {
      const weight = weights[y * taps + j] as number;
      const from = ((first[y] as number) + j - top) * stride;
      for (let i = 0; i < stride; i++) sums[i] = (sums[i] as number) + Math.imul(data[from + i] as number, weight);
    }
    const to = (y - wanted.start) * stride;
    for (let i = 0; i < stride; i++) out[to + i] = toByte(sums[i] as number);
  }
  return result;
}

/**
 * The picture at another size, byte-equal to Pillow's `resize((width, height), filter)`.
 *
 * The same picture is returned when the size doesn't change.
 *
 * @throws ShapeError when width or height isn't a positive integer
 */
export function resizeImage(image: Image, width: number, height: number, filter: ResampleFilter = "bicubic"): Image {
  if (!Number.isSafeInteger(width) || !Number.isSafeInteger(height) || width < 1 || height < 1) {
    throw new ShapeError(`resizeImage: width and height must be positive integers, got ${width}x${height}`);
  }
  return resizeRegion(image, width, height, { left: 0, top: 0, width, height }, filter);
}

/** A rectangle of a picture, in pixels. */
export interface Region {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Even sides halved by boxes: both weights are exactly a half, so that both passes are a mean that rounds up. DMCrop's time is here. */
function halve(image: Image): Image {
  const result = createImage(image.width / 2, image.height / 2);
  const { data } = image;
  const out = result.data;
  const stride = image.width * 3;
  let to = 0;
  for (let y = 0; y < result.height; y++) {
    let from = 2 * y * stride;
    for (let x = 0; x < result.width; x++, from += 6) {
      for (let i = from; i < from + 3; i++, to++) {
        const above = ((data[i] as number) + (data[i + 3] as number) + 1) >> 1;
        const below = ((data[i + stride] as number) + (data[i + stride + 3] as number) + 1) >> 1;
        out[to] = (above + below + 1) >> 1;
      }
    }
  }
  return result;
}

/**
 * A rectangle of the resized picture: the bytes of `cropImage(resizeImage(image, width, height, filter), ...)`, of which nothing else
 * is computed.
 *
 * @throws ShapeError when the rectangle isn't inside of the resized picture
 */
export function resizeRegion(
  image: Image,
  width: number,
  height: number,
  region: Region,
  filter: ResampleFilter = "bicubic",
): Image {
  const columns = { start: region.left, stop: region.left + region.width };
  const rows = { start: region.top, stop: region.top + region.height };
  const isWithin = ({ start, stop }: Span, side: number) =>
    Number.isSafeInteger(start) && Number.isSafeInteger(stop) && start >= 0 && start < stop && stop <= side;
  if (!isWithin(columns, width) || !isWithin(rows, height)) {
    const { left, top } = region;
    throw new ShapeError(
      `resizeRegion: ${region.width}x${region.height} at (${left}, ${top}) isn't inside of a picture of ${width}x${height}`,
    );
  }
  const isWhole = region.width === width && region.height === height;
  if (filter === "box" && isWhole && image.width === 2 * width && image.height === 2 * height) return halve(image);
  const down = height === image.height ? undefined : resampleWeights(image.height, height, filter);
  const last = rows.stop - 1;
  const needed =
    down === undefined
      ? rows
      : {
          start: down.first[rows.start] as number,
          stop: (down.first[last] as number) + (down.count[last] as number),
        };
  if (width === image.width) {
    const rest = cropImage(image, region.left, needed.start, region.width, needed.stop - needed.start);
    return down === undefined ? rest : resizeColumns(rest, down, rows, needed.start);
  }
  const across = resizeRows(image, resampleWeights(image.width, width, filter), columns, needed);
  return down === undefined ? across : resizeColumns(across, down, rows, needed.start);
}

// Resizing of float32 planes with Pillow's antialiased kernels, as Pillow does for mode "F": weights and sums in
// float64, each pass rounded to float32, nothing clamped. Metrics that resize float data use it; pictures on their way
// to a model use the 8-bit version, which rounds in between.

function resizePlaneRows(data: Float32Array, from: number, to: number, filter: ResampleFilter): Float32Array {
  const { taps, first, count, weights } = resampleWeights(from, to, filter);
  const rows = data.length / from;
  const out = new Float32Array(rows * to);
  for (let row = 0; row < rows; row++) {
    for (let x = 0; x < to; x++) {
      const start = row * from + (first[x] as number);
      let sum = 0;
      for (let j = 0; j < (count[x] as number); j++)
        sum += (data[start + j] as number) * (weights[x * taps + j] as number);
      out[row * to + x] = sum;
    }
  }
  return out;
}

function resizePlaneColumns(
  data: Float32Array,
  width: number,
  from: number,
  to: number,
  filter: ResampleFilter,
): Float32Array {
  const { taps, first, count, weights } = resampleWeights(from, to, filter);
  const planes = data.length / (width * from);
  const out = new Float32Array(planes * to * width);
  const sums = new Float64Array(width);
  for (let plane = 0; plane < planes; plane++) {
    for (let y = 0; y < to; y++) {
      sums.fill(0);
      for (let j = 0; j < (count[y] as number); j++) {
        const weight = weights[y * taps + j] as number;
        const start = (plane * from + (first[y] as number) + j) * width;
        for (let x = 0; x < width; x++) sums[x] = (sums[x] as number) + (data[start + x] as number) * weight;
      }
      out.set(sums, (plane * to + y) * width);
    }
  }
  return out;
}

/**
 * Resizes the last two axes of a float tensor [..., H, W] to [..., height, width].
 *
 * Not to be confused with the tensor resizing of neural networks (no antialiasing, another cubic): those are ops of the
 * graph. The tensor itself is returned (as float32) when the size doesn't change.
 *
 * @throws ShapeError when the tensor has fewer than two axes, is empty, or a size isn't a positive integer
 */
export function resizePlanes(
  tensor: Tensor,
  width: number,
  height: number,
  filter: ResampleFilter = "bicubic",
): Tensor<"float32"> {
  const fromHeight = tensor.shape.at(-2) ?? 0;
  const fromWidth = tensor.shape.at(-1) ?? 0;
  if (tensor.size === 0 || fromHeight < 1) {
    throw new ShapeError(`resizePlanes: expected a tensor [..., H, W], got [${tensor.shape.join(", ")}]`);
  }
  if (!Number.isSafeInteger(width) || !Number.isSafeInteger(height) || width < 1 || height < 1) {
    throw new ShapeError(`resizePlanes: width and height must be positive integers, got ${width}x${height}`);
  }
  let data = tensor.toFloat32();
  if (width !== fromWidth) data = resizePlaneRows(data, fromWidth, width, filter);
  if (height !== fromHeight) data = resizePlaneColumns(data, width, fromHeight, height, filter);
  return new Tensor("float32", data, [...tensor.shape.slice(0, -2), height, width]);
}

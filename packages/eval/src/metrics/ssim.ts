/**
 * Structural similarity as the official evaluation computes it (evaluation.md section 8): Gaussian window of sigma 1.5 and
 * size 11, k1 = 0.01, k2 = 0.03, RGB channel by channel, reflected borders. Source of the measure: Wang et al. (2004).
 *
 * Library versions differ in the border: current ones average the whole map, older ones leave out the outer 5 pixels.
 * Both values are given, and it is computed in two ways. `ssim` sums in float64, where the libraries use float32; the means agree.
 * Runners use the same computation as a graph of batches in float32, which an engine does many times faster.
 */
import { ConfigError, ShapeError, Tensor } from "@dcae/core";
import {
  add,
  concat,
  constant,
  createProgram,
  div,
  matmul,
  maximum,
  mul,
  type Program,
  reduceMean,
  slice,
  split,
  square,
  sub,
  transpose,
  type Value,
} from "@dcae/core/graph";
import { pictureInput } from "../networks/pictures.js";

/** The window of SSIM: Gaussian, sigma 1.5, `2 * trunc(3.5 sigma + 0.5) + 1` = 11 weights that sum to 1. */
const SIGMA = 1.5;
const SSIM_RADIUS = Math.trunc(3.5 * SIGMA + 0.5);
const SSIM_WINDOW: Float64Array = gaussianWindow();

function gaussianWindow(): Float64Array {
  const length = 2 * SSIM_RADIUS + 1;
  const weights = Float64Array.from({ length }, (_, i) => Math.exp(-((i - SSIM_RADIUS) ** 2) / (2 * SIGMA ** 2)));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

export interface SsimResult {
  /** Mean over channels and all positions. */
  readonly whole: number;
  /** Mean without the outer 5 pixels. */
  readonly cropped: number;
}

/** Samples of one channel of one picture, [height, width]; `stride` apart in `data`, from `offset`. */
interface Plane {
  readonly data: ArrayLike<number>;
  readonly offset: number;
  readonly stride: number;
}

/**
 * Similarity of two pictures with interleaved or planar channels.
 *
 * @param a, b samples of `height * width * channels`; interleaved as pictures are, unless `planar`
 * @throws ShapeError when lengths differ or a side has less than 11 pixels
 * @example
 * ```ts
 * import { loadImage, toImage } from "@dcae/core";
 * import { ssim } from "@dcae/eval";
 *
 * const { data, width, height } = await toImage(await loadImage("cat.jpg", { size: 64 }));
 * console.log(ssim(data, data, { width, height }).whole); // 1
 * ```
 */
export function ssim(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  { width, height, channels = 3, range = 255, planar = false }: SsimOptions,
): SsimResult {
  const size = width * height;
  if (a.length !== size * channels || b.length !== size * channels) {
    throw new ShapeError(
      `ssim: ${a.length} and ${b.length} samples don't fit ${width}x${height} with ${channels} channels`,
    );
  }
  const least = SSIM_WINDOW.length;
  if (width < least || height < least) {
    throw new ShapeError(`ssim: ${width}x${height} is smaller than the window of ${least}x${least}`, {
      hint: "Compare pictures of at least 11 pixels per side.",
    });
  }
  let whole = 0;
  let cropped = 0;
  for (let channel = 0; channel < channels; channel++) {
    const plane = (data: ArrayLike<number>): Plane =>
      planar ? { data, offset: channel * size, stride: 1 } : { data, offset: channel, stride: channels };
    const map = ssimMap(plane(a), plane(b), width, height, range);
    whole += meanOf(map, width, height, 0);
    cropped += meanOf(map, width, height, SSIM_RADIUS);
  }
  return { whole: whole / channels, cropped: cropped / channels };
}

export interface SsimOptions {
  readonly width: number;
  readonly height: number;
  /** Default 3. */
  readonly channels?: number;
  /** Difference between the largest and smallest possible value. Default 255, as of 8 bits. */
  readonly range?: number;
  /** Whether channel follows channel instead of pixel following pixel. */
  readonly planar?: boolean;
}

function meanOf(map: Float64Array, width: number, height: number, border: number): number {
  let sum = 0;
  for (let y = border; y < height - border; y++) {
    for (let x = border; x < width - border; x++) sum += map[y * width + x] as number;
  }
  return sum / ((width - 2 * border) * (height - 2 * border));
}

/** Similarity at each position. */
export function ssimMap(a: Plane, b: Plane, width: number, height: number, range: number): Float64Array {
  const size = width * height;
  const moments = Array.from({ length: 5 }, () => new Float64Array(size));
  const [ma, mb, maa, mbb, mab] = moments as [Float64Array, Float64Array, Float64Array, Float64Array, Float64Array];
  // The shift cancels in variances and covariance; without it they are small differences of large numbers.
  const shift = range / 2;
  for (let i = 0; i < size; i++) {
    const x = (a.data[a.offset + i * a.stride] as number) - shift;
    const y = (b.data[b.offset + i * b.stride] as number) - shift;
    ma[i] = x;
    mb[i] = y;
    maa[i] = x * x;
    mbb[i] = y * y;
    mab[i] = x * y;
  }
  const scratch = new Float64Array(size);
  for (const moment of moments) blurPlane(moment, scratch, width, height);
  const c1 = (0.01 * range) ** 2;
  const c2 = (0.03 * range) ** 2;
  const map = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    const [x, y] = [ma[i] as number, mb[i] as number];
    const varianceX = Math.max((maa[i] as number) - x * x, 0);
    const varianceY = Math.max((mbb[i] as number) - y * y, 0);
    const covariance = (mab[i] as number) - x * y;
    const [meanX, meanY] = [x + shift, y + shift];
    map[i] =
      ((2 * meanX * meanY + c1) * (2 * covariance + c2)) /
      ((meanX * meanX + meanY * meanY + c1) * (varianceX + varianceY + c2));
  }
  return map;
}

/** Gaussian blur in place; borders are reflected without repeating the edge. */
function blurPlane(plane: Float64Array, scratch: Float64Array, width: number, height: number): void {
  const [weights, radius] = [SSIM_WINDOW, SSIM_RADIUS];
  const reflect = (i: number, n: number) => (i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i);
  for (let y = 0; y < height; y++) {
    const row = y * width;
    for (let x = 0; x < width; x++) {
      let sum = 0;
      if (x >= radius && x < width - radius) {
        for (let k = 0; k <= 2 * radius; k++) sum += (weights[k] as number) * (plane[row + x + k - radius] as number);
      } else {
        for (let k = 0; k <= 2 * radius; k++) {
          sum += (weights[k] as number) * (plane[row + reflect(x + k - radius, width)] as number);
        }
      }
      scratch[row + x] = sum;
    }
  }
  for (let y = 0; y < height; y++) {
    const row = y * width;
    plane.fill(0, row, row + width);
    for (let k = 0; k <= 2 * radius; k++) {
      const weight = weights[k] as number;
      const from = reflect(y + k - radius, height) * width;
      for (let x = 0; x < width; x++)
        plane[row + x] = (plane[row + x] as number) + weight * (scratch[from + x] as number);
    }
  }
}

/** The shortest side that the window fits into. */
export const SSIM_MIN_SIDE = SSIM_WINDOW.length;

const RANGE = 255;
const C1 = (0.01 * RANGE) ** 2;
const C2 = (0.03 * RANGE) ** 2;
/** Values are centered first: variances are then differences of smaller numbers, which float32 needs. */
const SHIFT = RANGE / 2;

/** The window as a matrix [size, size]: row i holds the weights of output i, those of reflected positions added up. */
function blurMatrix(size: number): Value {
  const matrix = new Float32Array(size * size);
  for (let i = 0; i < size; i++) {
    SSIM_WINDOW.forEach((weight, k) => {
      const position = Math.abs(i + k - SSIM_RADIUS);
      const inside = position < size ? position : 2 * (size - 1) - position;
      matrix[i * size + inside] = (matrix[i * size + inside] as number) + weight;
    });
  }
  return constant(Tensor.float32(matrix, [size, size]));
}

/**
 * Gaussian means of x [..., H, W] at every position, as two matrix products. Most of their terms are 0, and they are
 * still faster than convolutions of one channel, which run at a hundredth of the machine's speed (bench/metrics.bench.mjs).
 */
function blurred(x: Value): Value {
  const [height, width] = x.shape.slice(-2) as [number, number];
  return matmul(matmul(blurMatrix(height), x), transpose(blurMatrix(width)));
}

/**
 * Inputs `a` and `b`, 8-bit pictures [N, H, W, 3]; outputs `whole` and `cropped` [N], means over the map with and without
 * its outer 5 pixels.
 *
 * @throws ConfigError when a side has less than 11 pixels
 */
export function ssimProgram(count: number, height: number, width: number): Program {
  if (Math.min(height, width) < SSIM_MIN_SIDE) {
    throw new ConfigError(`SSIM needs pictures of at least ${SSIM_MIN_SIDE} pixels per side`, {
      hint: `The pictures have ${width}x${height}; leave ssim out of the metrics.`,
    });
  }
  const [x, y] = ["a", "b"].map((name) => sub(pictureInput(name, count, height, width), SHIFT)) as [Value, Value];
  const moments = blurred(concat([x, y, square(x), square(y), mul(x, y)], 1));
  const [mx, my, mxx, myy, mxy] = split(moments, 1, [3, 3, 3, 3, 3]) as [Value, Value, Value, Value, Value];
  const varianceX = maximum(sub(mxx, square(mx)), 0);
  const varianceY = maximum(sub(myy, square(my)), 0);
  const covariance = sub(mxy, mul(mx, my));
  const [meanX, meanY] = [add(mx, SHIFT), add(my, SHIFT)];
  const map = div(
    mul(add(mul(mul(meanX, meanY), 2), C1), add(mul(covariance, 2), C2)),
    mul(add(add(square(meanX), square(meanY)), C1), add(add(varianceX, varianceY), C2)),
  );
  const inner = slice(slice(map, 2, SSIM_RADIUS, -SSIM_RADIUS), 3, SSIM_RADIUS, -SSIM_RADIUS);
  return createProgram("ssim", { whole: reduceMean(map, [1, 2, 3]), cropped: reduceMean(inner, [1, 2, 3]) });
}

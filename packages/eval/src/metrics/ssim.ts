/**
 * Structural similarity as the official evaluation computes it (evaluation.md section 8): Gaussian window of sigma 1.5 and
 * size 11, k1 = 0.01, k2 = 0.03, RGB channel by channel, reflected borders. Source of the measure: Wang et al. (2004).
 *
 * Library versions differ in the border: current ones average the whole map, older ones leave out the outer 5 pixels.
 * Both values are given. Sums are in float64, where the libraries use float32; the means agree. Runners use the same
 * computation as a graph (networks/ssim-program.ts), which an engine does many times faster.
 */
import { ShapeError } from "@dcae/core";
import { SSIM_RADIUS, SSIM_WINDOW } from "./ssim-window.js";

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
 * @param range difference between the largest and smallest possible value (255 for 8 bits)
 * @throws ShapeError when lengths differ or a side has less than 11 pixels
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
  /** Default 255. */
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
  for (const moment of moments) blur(moment, scratch, width, height);
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
function blur(plane: Float64Array, scratch: Float64Array, width: number, height: number): void {
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

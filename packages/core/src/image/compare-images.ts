/**
 * Two pictures compared: as a number, the peak signal-to-noise ratio by which DC-AE is evaluated (dcae.md section 8,
 * evaluation.md section 8), and as a heat map of where they differ: black is equal, then violet, red, orange, yellow, white.
 */
import { ShapeError } from "../errors.js";
import { createImage, type Image, type Rgb } from "./image.js";

/**
 * 10 log10(255^2 / MSE) in decibels, the mean squared error taken over all pixels and channels of one picture.
 *
 * Identical pictures give Infinity. The PSNR of a set is the mean of its pictures' PSNRs, not the PSNR of the mean error.
 *
 * @throws ShapeError when sizes differ
 */
export function psnr(reference: Image, reconstruction: Image): number {
  if (reference.width !== reconstruction.width || reference.height !== reconstruction.height) {
    throw new ShapeError(
      `psnr: the reference is ${reference.width}x${reference.height}, ` +
        `the reconstruction ${reconstruction.width}x${reconstruction.height}`,
    );
  }
  const a = reference.data;
  const b = reconstruction.data;
  let sum = 0; // exact: at most 65025 per value
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    sum += difference * difference;
  }
  return sum === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10((255 * 255 * a.length) / sum);
}

/** Colors at equal distances, of steadily rising luminance, so that the map reads in grey too. */
const RAMP: readonly Rgb[] = [
  [0, 0, 0],
  [58, 12, 96],
  [150, 24, 88],
  [226, 76, 36],
  [252, 176, 36],
  [255, 255, 220],
];

const COLORS = Uint8Array.from({ length: 256 * 3 }, (_, i) => {
  const position = (Math.floor(i / 3) / 255) * (RAMP.length - 1);
  const low = Math.min(Math.floor(position), RAMP.length - 2);
  const from = (RAMP[low] as Rgb)[i % 3] as number;
  const to = (RAMP[low + 1] as Rgb)[i % 3] as number;
  return Math.round(from + (to - from) * (position - low));
});

/**
 * A heat map of the largest channel difference of each pixel, times `gain`.
 *
 * @param gain differences of 255 / gain or more are white; 4 by default, which makes a difference of 64 white
 * @throws ShapeError when sizes differ
 */
export function differenceMap(a: Image, b: Image, gain = 4): Image {
  if (a.width !== b.width || a.height !== b.height) {
    throw new ShapeError(`differenceMap: sizes differ: ${a.width}x${a.height} and ${b.width}x${b.height}`);
  }
  const map = createImage(a.width, a.height);
  for (let i = 0; i < map.data.length; i += 3) {
    let largest = 0;
    for (let c = i; c < i + 3; c++) {
      largest = Math.max(largest, Math.abs((a.data[c] as number) - (b.data[c] as number)));
    }
    const level = Math.min(Math.round(largest * gain), 255) * 3;
    map.data[i] = COLORS[level] as number;
    map.data[i + 1] = COLORS[level + 1] as number;
    map.data[i + 2] = COLORS[level + 2] as number;
  }
  return map;
}

/**
 * Peak signal-to-noise ratio of 8-bit pictures, as DC-AE is evaluated (dcae.md section 8, evaluation.md section 8).
 */
import { ShapeError } from "../errors.js";
import type { Image } from "./image.js";

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

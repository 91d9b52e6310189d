/**
 * Peak signal-to-noise ratio of samples of any type (evaluation.md section 8). For 8-bit pictures it equals `psnr` of core.
 */
import { ShapeError } from "@dcae/core";

/**
 * 10 log10(range^2 / MSE) in decibels; the mean squared error is taken over all samples, which must be those of one
 * picture: the PSNR of a set is the mean of its pictures' values. Identical samples give Infinity.
 *
 * @throws ShapeError when lengths differ or there are no samples
 */
export function psnrOf(reference: ArrayLike<number>, reconstruction: ArrayLike<number>, range = 255): number {
  const { length } = reference;
  if (length === 0 || reconstruction.length !== length) {
    throw new ShapeError(`psnr: ${length} samples and ${reconstruction.length} samples`);
  }
  let sum = 0;
  for (let i = 0; i < length; i++) {
    const difference = (reference[i] as number) - (reconstruction[i] as number);
    sum += difference * difference;
  }
  return sum === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10((range * range * length) / sum);
}

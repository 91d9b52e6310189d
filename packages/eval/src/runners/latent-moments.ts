/** Mean, root mean square and deviation of latents (training.md section 10), from sums per picture. */
import { Tensor } from "@dcae/core";

/** Sum, sum of squares and number of values of each latent [N, ...], as float64 [N, 3]. */
export function latentMoments(latents: Tensor): Tensor<"float64"> {
  const count = latents.shape[0] as number;
  const values = latents.toFloat32();
  const perPicture = values.length / count;
  const out = new Float64Array(3 * count);
  for (let n = 0; n < count; n++) {
    let sum = 0;
    let squares = 0;
    for (let i = n * perPicture; i < (n + 1) * perPicture; i++) {
      const value = values[i] as number;
      sum += value;
      squares += value * value;
    }
    out.set([sum, squares, perPicture], 3 * n);
  }
  return new Tensor("float64", out, [count, 3]);
}

/** The moments of all pictures; undefined for none. */
export function totalMoments(
  parts: readonly Tensor[],
): { readonly mean: number; readonly rms: number; readonly std: number; readonly count: number } | undefined {
  let sum = 0;
  let squares = 0;
  let count = 0;
  for (const part of parts) {
    const data = part.cast("float64").data as Float64Array;
    for (let i = 0; i < data.length; i += 3) {
      sum += data[i] as number;
      squares += data[i + 1] as number;
      count += data[i + 2] as number;
    }
  }
  if (count < 2) return undefined;
  const mean = sum / count;
  return { mean, rms: Math.sqrt(squares / count), std: Math.sqrt((squares - mean * sum) / (count - 1)), count };
}

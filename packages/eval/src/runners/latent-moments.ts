/** Moments of the latents of an evaluation, from sums per picture, which are kept with the other columns of a chunk. */
import { type Moments, momentsOf, Tensor, valueSums } from "@dcae/core";

/** Sum, sum of squares and number of values of each latent [N, ...], as float64 [N, 3]. */
export function latentMoments(latents: Tensor): Tensor<"float64"> {
  const count = latents.shape[0] as number;
  const values = latents.toFloat32();
  const size = values.length / count;
  const rows = Array.from({ length: count }, (_, n) => valueSums(values, n * size, (n + 1) * size));
  const out = Float64Array.from(rows.flatMap(({ sum, squares, count: n }) => [sum, squares, n]));
  return new Tensor("float64", out, [count, 3]);
}

/** The moments of all pictures; undefined for none. */
export function totalMoments(parts: readonly Tensor[]): (Moments & { readonly count: number }) | undefined {
  let [sum, squares, count] = [0, 0, 0];
  for (const part of parts) {
    const data = part.cast("float64").data as Float64Array;
    for (let i = 0; i < data.length; i += 3) {
      sum += data[i] as number;
      squares += data[i + 1] as number;
      count += data[i + 2] as number;
    }
  }
  return count < 2 ? undefined : { ...momentsOf({ sum, squares, count }), count };
}

/**
 * The fixed two-dimensional sine-cosine position embedding of DiT (diffusion.md section 4).
 *
 * Sines come first, and the first half of the features belongs to the column. Computed in double, rounded at the end.
 */
import { Tensor } from "@dcae/core/graph";

/** [1, side * side, width] for tokens in row-major order; `width` is a multiple of 4. */
export function positionEmbedding(width: number, side: number): Tensor<"float32"> {
  const quarter = width / 4;
  const omega = Float64Array.from({ length: quarter }, (_, k) => 1 / 10000 ** (k / quarter));
  const values = new Float32Array(side * side * width);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const start = (row * side + column) * width;
      [column, row].forEach((coordinate, part) => {
        for (let k = 0; k < quarter; k++) {
          const angle = coordinate * (omega[k] as number);
          const at = start + part * 2 * quarter + k;
          values[at] = Math.sin(angle);
          values[at + quarter] = Math.cos(angle);
        }
      });
    }
  }
  return Tensor.float32(values, [1, side * side, width]);
}

/** Weights and pictures by the integer formulas of the reference, for networks too large to store. */
import { sizeOf, Tensor } from "@dcae/core/graph";

/** Uniform in (0, 1): the 32-bit murmur3 finalizer of a counter. */
function hash(k: number, i: number): number {
  let h = (i + Math.imul(0x9e3779b9, k + 1)) >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b) >>> 0;
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35) >>> 0;
  return (((h ^ (h >>> 16)) >>> 0) + 0.5) / 2 ** 32;
}

/** Tensor number `k` of a network, by its name and shape. */
export function hashFill(k: number, name: string, shape: readonly number[]): Tensor {
  const [a, b] = name.startsWith("lin")
    ? [0.5, 0.5]
    : shape.length >= 2
      ? [0, Math.sqrt(6 / sizeOf(shape.slice(1)))]
      : [0, 0.05];
  return Tensor.float32(
    Float32Array.from({ length: sizeOf(shape) }, (_, i) => a + b * (2 * hash(k, i) - 1)),
    shape,
  );
}

/** Pictures [seeds, 3, h, w] in [-1, 1]. */
export function formulaImages(seeds: readonly number[], height: number, width: number): Tensor {
  const values = new Float32Array(seeds.length * 3 * height * width);
  let at = 0;
  for (const seed of seeds) {
    for (let c = 0; c < 3; c++) {
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const v = (x * (3 + c) + y * (5 + 2 * c) + Math.floor((x * y) / 8) * (c + 1) + 37 * seed + 61 * c) % 256;
          values[at++] = v / 127.5 - 1;
        }
      }
    }
  }
  return Tensor.float32(values, [seeds.length, 3, height, width]);
}

/** The closed-form weights and pictures of full-size golden cases; the formula is that of golden/hashfill_check.json. */
import { createImage, type Image, Tensor } from "@dcae/core";
import type { Weights } from "@dcae/core/checkpoint";
import { goldenJson, weightsOf } from "./golden.js";

interface ManifestEntry {
  readonly k?: number;
  readonly name: string;
  readonly shape: readonly number[];
}

/** u in (0, 1) for tensor `k` and flat index `i`. */
export function hashUniform(k: number, i: number): number {
  let h = (i + Math.imul(0x9e3779b9, k + 1)) >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  h ^= h >>> 16;
  return ((h >>> 0) + 0.5) / 2 ** 32;
}

/** Center and half-width of the values, by the first rule that fits. */
function rangeOf(name: string, shape: readonly number[]): readonly [a: number, b: number] {
  if (name.endsWith("running_mean")) return [0, 0.1];
  if (name.endsWith("running_var")) return [1, 0.3];
  if (name.startsWith("lin")) return [0.5, 0.5];
  if (shape.length >= 2) return [0, Math.sqrt(6 / shape.slice(1).reduce((product, dim) => product * dim, 1))];
  if (name.endsWith("weight")) return [1, 0.2];
  return name.includes(".bn.") ? [0, 0.1] : [0, 0.05];
}

export function hashFill(k: number, name: string, shape: readonly number[]): Tensor<"float32"> {
  const data = new Float32Array(shape.reduce((product, dim) => product * dim, 1));
  const [a, b] = rangeOf(name, shape);
  for (let i = 0; i < data.length; i++) data[i] = a + b * (2 * hashUniform(k, i) - 1);
  return Tensor.float32(data, shape);
}

/** All tensors of a manifest. */
export function hashFilledWeights(manifest: string): Weights {
  const { tensors } = goldenJson(manifest) as { readonly tensors: readonly ManifestEntry[] };
  const filled = tensors.map(({ name, shape }, k) => [name, hashFill(k, name, shape)] as const);
  return weightsOf(manifest, new Map(filled));
}

export function formulaImage(width: number, height: number, seed: number): Image {
  const image = createImage(width, height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < 3; c++) {
        const value = x * (3 + c) + y * (5 + 2 * c) + Math.floor((x * y) / 8) * (c + 1) + 37 * seed + 61 * c;
        image.data[(y * width + x) * 3 + c] = value % 256;
      }
    }
  }
  return image;
}

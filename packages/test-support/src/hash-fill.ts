/**
 * The closed-form weights and pictures of golden cases with networks too large to store; the formulas are those of
 * packages/eval/test/golden/hashfill_check.json.
 */
import type { Weights } from "@dcae/core/checkpoint";
import { sizeOf, Tensor } from "@dcae/core/graph";
import { createImage, type Image } from "@dcae/core/image";
import { memoryWeights } from "./weights.js";

/** One line of a manifest: a tensor of a network. */
export interface ManifestEntry {
  readonly name: string;
  readonly shape: readonly number[];
}

/** The finalizer of murmur3: 32 bits to 32 bits. */
function mixBits(bits: number): number {
  let h = bits >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** u in (0, 1) for tensor `k` and flat index `i`. */
export function hashUniform(k: number, i: number): number {
  return (mixBits(i + Math.imul(0x9e3779b9, k + 1)) + 0.5) / 2 ** 32;
}

/** Center and half-width of the values, by the first rule that fits. */
function rangeOf(name: string, shape: readonly number[]): readonly [a: number, b: number] {
  if (name.endsWith("running_mean")) return [0, 0.1];
  if (name.endsWith("running_var")) return [1, 0.3];
  if (name.startsWith("lin")) return [0.5, 0.5];
  if (shape.length >= 2) return [0, Math.sqrt(6 / sizeOf(shape.slice(1)))];
  if (name.endsWith("weight")) return [1, 0.2];
  return name.includes(".bn.") ? [0, 0.1] : [0, 0.05];
}

/** Tensor number `k` of a network, by its name and shape. */
export function hashFill(k: number, name: string, shape: readonly number[]): Tensor<"float32"> {
  const [a, b] = rangeOf(name, shape);
  const data = Float32Array.from({ length: sizeOf(shape) }, (_, i) => a + b * (2 * hashUniform(k, i) - 1));
  return Tensor.float32(data, shape);
}

/** All tensors of a manifest, in its order. */
export function hashFilledWeights(manifest: readonly ManifestEntry[], source = "closed form"): Weights {
  return memoryWeights(
    manifest.map(({ name, shape }, k) => [name, hashFill(k, name, shape)]),
    source,
  );
}

/** A picture of which every value is known. */
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

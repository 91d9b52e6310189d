/** Weights of the preset cases: every element comes from an integer hash of its parameter's name and position. */
import type { WeightEntry, Weights } from "@dcae/core/checkpoint";
import { type ParameterSpec, sizeOf, Tensor } from "@dcae/core/graph";
import { initializeParameter } from "@dcae/core/models";

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** 32 bits to 32 bits. The multipliers are those of the cases (xxHash's), not the ones of the other golden data (murmur3's). */
function mixBits(bits: number): number {
  let x = bits >>> 0;
  x = Math.imul(x ^ (x >>> 16), 2246822519 | 0);
  x = Math.imul(x ^ (x >>> 13), 3266489917 | 0);
  return (x ^ (x >>> 16)) >>> 0;
}

/** Scale and offset of u in [-1, 1) for a parameter. */
function affine({ name, shape }: ParameterSpec): [scale: number, offset: number] {
  if (name === "pos_embed") return [0.5, 0];
  if (name.includes("embedding_table")) return [1, 0];
  if (name.endsWith("bias")) return [0.1, 0];
  if (shape.length === 1) return [0.1, 1];
  return [Math.fround(Math.sqrt(3 / (sizeOf(shape) / (shape[0] as number)))), 0];
}

export function hashParameter(spec: ParameterSpec, salt: string): Tensor {
  // DiT keeps its sines and cosines.
  if (spec.init.kind === "computed") return initializeParameter(spec, 0);
  const start = fnv1a(`${salt}/${spec.name}`);
  const [scale, offset] = affine(spec);
  const f = Math.fround;
  const [scale32, values] = [f(scale), new Float32Array(sizeOf(spec.shape))];
  for (let i = 0; i < values.length; i++) {
    const u = f((mixBits(Math.imul(i, 2654435761 | 0) + start) / 2 ** 32) * 2 - 1);
    values[i] = offset + f(scale32 * u);
  }
  return Tensor.float32(values, spec.shape);
}

/** All weights of a model, made when they are read. */
export function hashWeights(specs: readonly ParameterSpec[], salt: string): Weights {
  const entries = specs.map((spec): [string, WeightEntry] => {
    const { name, dtype, shape } = spec;
    return [name, { name, dtype, shape, read: async () => hashParameter(spec, salt) }];
  });
  return { source: "hash weights", entries: new Map(entries), close: async () => {} };
}

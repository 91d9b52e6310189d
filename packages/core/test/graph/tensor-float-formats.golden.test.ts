/**
 * Casts by PyTorch 2.13 (float16, bfloat16, E5M2) and ml_dtypes 0.6 (E4M3FN), which agree elsewhere too: all 8-bit values,
 * the middles between neighbors, their float32 neighbors, random bit patterns, overflow. See golden/checkpoint/README.md.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import type { NarrowFloat } from "../../src/graph/dtype.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { openBytes } from "../support/raw-safetensors.js";

const path = fileURLToPath(new URL("../golden/checkpoint/narrow_floats.safetensors", import.meta.url));
const { entries } = await openBytes(readFileSync(path));
const read = async (name: string): Promise<Tensor> => {
  const entry = entries.get(name);
  if (entry === undefined) throw new Error(`no tensor ${name}`);
  return entry.read();
};
const inputs = await read("float32");

const narrow = [...entries.keys()].filter((name) => name !== "float32") as NarrowFloat[];

it.each(narrow)("%s", async (dtype) => {
  const expected = await read(dtype);
  expect(expected.dtype).toBe(dtype);
  const [ours, theirs] = [inputs.cast(dtype), expected];
  const wrong = Array.from(inputs.data, Number).filter((_, i) => {
    const bothNaN = Number.isNaN(ours.at(i)) && Number.isNaN(theirs.at(i));
    return !bothNaN && ours.data[i] !== theirs.data[i];
  });
  expect(wrong).toEqual([]);
});

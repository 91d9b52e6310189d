/** Files written by NumPy, see golden/checkpoint/README.md. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { expect, it } from "vitest";
import { decodeNpy, encodeNpy } from "../../src/checkpoint/npy/npy.js";
import { readNpyFile, writeNpyFile } from "../../src/checkpoint/npy/npy-file.node.js";
import { DataError } from "../../src/errors.js";
import type { NestedNumbers } from "../../src/graph/tensor.js";

const goldenPath = (name: string) => fileURLToPath(new URL(`../golden/checkpoint/${name}.npy`, import.meta.url));
const folder = temporaryFolder();

const cases: readonly [string, string, readonly number[], NestedNumbers][] = [
  ["scalar_i8", "int64", [], -5],
  ["vector_b1", "bool", [3], [1, 0, 1]],
  ["empty_f2", "float16", [0, 3], []],
  [
    "half_f2",
    "float16",
    [2, 3],
    [
      [0, 0.25, 0.5],
      [0.75, 1, 1.25],
    ],
  ],
  ["version2_u2", "uint16", [5], [0, 1, 2, 3, 4]],
];

it.each(cases)("%s", async (name, dtype, shape, values) => {
  const tensor = await readNpyFile(goldenPath(name));
  expect([tensor.dtype, tensor.shape]).toEqual([dtype, shape]);
  expect(tensor.toNested()).toEqual(values);
});

it("Fortran order: the same indices, as a view", async () => {
  const tensor = await readNpyFile(goldenPath("fortran_f8"));
  expect([tensor.dtype, tensor.shape]).toEqual(["float64", [2, 3, 4]]);
  for (let i = 0; i < 24; i++) expect(tensor.at(Math.floor(i / 12), Math.floor(i / 4) % 3, i % 4)).toBe(i);
  expect(decodeNpy(encodeNpy(tensor)).data).toEqual(tensor.data);
});

it.each(["scalar_i8", "vector_b1", "empty_f2", "half_f2", "latent_example"])(
  "writing %s again gives NumPy's bytes",
  async (name) => {
    const path = join(folder, `${name}.npy`);
    await writeNpyFile(path, await readNpyFile(goldenPath(name)));
    expect(Buffer.compare(readFileSync(path), readFileSync(goldenPath(name)))).toBe(0);
  },
);

it.each([
  ["big_endian_f4", /big-endian arrays \(">f4"\) aren't supported/],
  ["record", /record\) arrays aren't supported/],
  ["object", /pickles/],
])("refuses %s, naming the file", async (name, message) => {
  const attempt = readNpyFile(goldenPath(name));
  await expect(attempt).rejects.toThrow(DataError);
  await expect(attempt).rejects.toThrow(message);
  await expect(attempt).rejects.toThrow(`${name}.npy`);
});

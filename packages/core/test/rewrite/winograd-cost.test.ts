/** The cost rule, on sizes of the published models where the measured winner is clear. */
import { expect, test } from "vitest";
import { chooseWinograd, winogradExtraBytes } from "../../src/graph/rewrite/winograd-matrices.js";

const square = (inChannels: number, outChannels: number, side: number, batch = 1) => ({
  batch,
  inChannels,
  outChannels,
  outHeight: side,
  outWidth: side,
});

test.each([
  ["the widest stages of a 256 pixel picture", square(512, 512, 64), 4],
  ["the same stages of a 512 pixel picture", square(512, 512, 128), 6],
  ["the second stage", square(256, 256, 128), 6],
  ["the first stage", square(128, 128, 256), 6],
  ["a side that tiles of 6 don't divide", square(512, 512, 32), 4],
  ["a deep stage, where larger weights cost more than they save", square(1024, 2048, 8), undefined],
  ["the same stage of a large picture", square(1024, 2048, 64), 4],
  ["the same stage of many pictures", square(1024, 2048, 8, 64), 4],
  ["pictures to features", square(3, 128, 256), undefined],
  ["features to pictures", square(128, 12, 256), undefined],
  ["a handful of channels", square(16, 16, 64), undefined],
] as const)("%s", (_, size, tile) => {
  expect(chooseWinograd(size)).toBe(tile);
});

test("transformed weights have (m + 2)^2 values in place of 9", () => {
  expect(winogradExtraBytes(square(2, 3, 8), 4)).toBe(4 * 2 * 3 * 27);
  expect(winogradExtraBytes(square(2, 3, 8), 6)).toBe(4 * 2 * 3 * 55);
  expect(winogradExtraBytes(square(2, 3, 8), 2)).toBe(4 * 2 * 3 * 7);
});

/** The cost rule, on sizes of the published models where the measured winner is clear. */
import { describe, expect, test } from "vitest";
import {
  CPU_COSTS,
  chooseWinograd,
  INSTRUCTION_SETS,
  rewritingPays,
  winogradChooser,
  winogradExtraBytes,
} from "../../src/graph/rewrite/cpu-costs.js";
import { buildDecodeProgram, buildEncodeProgram, getPreset, type ModelConfig } from "../../src/models/index.js";

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

test.each(INSTRUCTION_SETS)("on %s, too, weights that few tiles share take the smaller tiles", (set) => {
  expect(winogradChooser(CPU_COSTS[set])(square(512, 512, 64))).toBe(4);
  expect(winogradChooser(CPU_COSTS[set])(square(512, 512, 256))).toBe(6);
});

test("transformed weights have (m + 2)^2 values in place of 9", () => {
  expect(winogradExtraBytes(square(2, 3, 8), 4)).toBe(4 * 2 * 3 * 27);
  expect(winogradExtraBytes(square(2, 3, 8), 6)).toBe(4 * 2 * 3 * 55);
  expect(winogradExtraBytes(square(2, 3, 8), 2)).toBe(4 * 2 * 3 * 7);
});

describe.each(INSTRUCTION_SETS)("rewriting on %s", (set) => {
  const costs = CPU_COSTS[set];
  const preset = getPreset("dc-ae-f32c32-in-1.0");
  const model = { kind: preset.kind, config: preset.config } as ModelConfig;

  test("pays for a published model, for one picture that is large enough and for several small ones", () => {
    const encode = (side: number) => buildEncodeProgram(model, [1, 3, side, side]);
    expect(rewritingPays(encode(512), 1, costs)).toBe(true);
    expect(rewritingPays(encode(256), 4, costs)).toBe(true);
    expect(rewritingPays(buildDecodeProgram(model, [1, 32, 16, 16]), 1, costs)).toBe(true);
    expect(rewritingPays(encode(64), 1, costs)).toBe(false);
    expect(rewritingPays(encode(256), 0, costs)).toBe(false);
    expect(rewritingPays(buildDecodeProgram(model, [1, 32, 8, 8]), 1, costs)).toBe(false);
  });
});

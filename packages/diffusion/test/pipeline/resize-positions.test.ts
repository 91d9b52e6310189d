/** Position embeddings of another size: what the filter must keep, whatever it is. */
import { Tensor } from "@dcae/core";
import { initialWeights } from "@dcae/core/checkpoint";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { denoiserParameters } from "../../src/denoisers/denoise.js";
import { parseOfficialDenoiser } from "../../src/denoisers/official-config.js";
import { checkDenoiserWeights } from "../../src/pipeline/denoiser-checkpoint.js";
import { weightsAtSize } from "../../src/pipeline/resize-positions.js";

const WIDTH = 8;
const networkOf = (arch: string, side: number, patch = 1) =>
  parseOfficialDenoiser(arch, {
    ...{ input_size: side * patch, patch_size: patch, in_channels: 4, hidden_size: WIDTH, depth: 2, num_heads: 2 },
    num_classes: 3,
  });

/** Weights of a UViT whose embedding has these values at rows (time and class first) and columns. */
function withPositions(side: number, values: (row: number, column: number) => number) {
  const network = networkOf("uvit", side);
  const weights = initialWeights(denoiserParameters(network.config), 0);
  const rows = 2 + side * side;
  const data = Float32Array.from({ length: rows * WIDTH }, (_, i) => values(Math.floor(i / WIDTH), i % WIDTH));
  const entry = { ...weights.entries.get("pos_embed")!, read: async () => Tensor.float32(data, [1, rows, WIDTH]) };
  return { network, weights: { ...weights, entries: new Map([...weights.entries, ["pos_embed", entry]]) } };
}

async function positionsAt(from: ReturnType<typeof withPositions>, side: number): Promise<number[][]> {
  const { config } = networkOf("uvit", side);
  const sized = weightsAtSize(from.weights, from.network.config, config);
  checkDenoiserWeights(sized, { config });
  const values = (await sized.entries.get("pos_embed")!.read()).toFloat32();
  return Array.from({ length: values.length / WIDTH }, (_, row) => [
    ...values.subarray(row * WIDTH, (row + 1) * WIDTH),
  ]);
}

describe("learned position embeddings", () => {
  test("keep what is the same everywhere, and the rows of time and class", async () => {
    const sides = fc.integer({ min: 1, max: 7 });
    await fc.assert(
      fc.asyncProperty(sides, sides, async (from, to) => {
        const rows = await positionsAt(
          withPositions(from, (row, column) => (row < 2 ? row - column : column / 4)),
          to,
        );
        expect(rows).toHaveLength(2 + to * to);
        for (const [i, row] of rows.entries()) {
          for (const [column, value] of row.entries()) expect(value).toBeCloseTo(i < 2 ? i - column : column / 4, 5);
        }
      }),
    );
  });

  test("grow in the directions that they had: rows stay rows, columns columns", async () => {
    const from = withPositions(4, (row, column) => (column % 2 === 0 ? (row - 2) % 4 : Math.floor((row - 2) / 4)));
    const rows = (await positionsAt(from, 8)).slice(2);
    for (let y = 0; y < 8; y++) {
      for (let x = 0; x < 8; x++) {
        const [across, down] = rows[y * 8 + x] as [number, number];
        // Between the outer centers a bicubic filter reproduces a slope.
        if (x >= 3 && x <= 4) expect(across).toBeCloseTo((x + 0.5) / 2 - 0.5, 5);
        if (y >= 3 && y <= 4) expect(down).toBeCloseTo((y + 0.5) / 2 - 0.5, 5);
        if (x > 0) expect(across).toBeGreaterThan(rows[y * 8 + x - 1]![0]!);
        if (y > 0) expect(down).toBeGreaterThan(rows[(y - 1) * 8 + x]![1]!);
      }
    }
  });
});

test("fixed ones are computed anew, those of as many tokens stay, and other networks aren't touched", async () => {
  const [small, large] = [networkOf("dit", 2), networkOf("dit", 4)];
  const weights = initialWeights(denoiserParameters(small.config), 0);
  const sized = checkDenoiserWeights(weightsAtSize(weights, small.config, large.config), large);
  const expected = initialWeights(denoiserParameters(large.config), 0).entries.get("pos_embed")!;
  expect((await sized.entries.get("pos_embed")!.read()).data).toEqual((await expected.read()).data);
  expect(weightsAtSize(weights, small.config, networkOf("dit", 2, 2).config)).toBe(weights);
  expect(weightsAtSize(weights, small.config, networkOf("uvit", 4).config)).toBe(weights);
});

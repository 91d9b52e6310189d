import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { batchesPerEpoch, batchIndices } from "../../src/latents/latent-dataset.js";

const cases = fc.record({
  length: fc.integer({ min: 1, max: 200 }),
  batchSize: fc.integer({ min: 1, max: 20 }),
  worldSize: fc.integer({ min: 1, max: 4 }),
  seed: fc.integer({ min: 0, max: 1000 }),
  epoch: fc.integer({ min: 0, max: 3 }),
});

describe("batchIndices", () => {
  it("gives every latent at most once per epoch, over all processes", () => {
    fc.assert(
      fc.property(cases, ({ length, batchSize, worldSize, seed, epoch }) => {
        const steps = batchesPerEpoch(length, { batchSize, seed, worldSize });
        fc.pre(steps > 0);
        const seen = Array.from({ length: worldSize }, (_, rank) =>
          Array.from({ length: steps }, (_, step) => [
            ...batchIndices(length, { batchSize, seed, rank, worldSize }, epoch * steps + step),
          ]),
        ).flat(2);
        expect(seen).toHaveLength(steps * batchSize * worldSize);
        expect(new Set(seen).size).toBe(seen.length);
        expect(seen.every((index) => index >= 0 && index < length)).toBe(true);
      }),
      { seed: 6, numRuns: 100 },
    );
  });

  it("gives the same batch for the same step, and another order in every epoch", () => {
    const order = { batchSize: 50, seed: 1 };
    expect(batchIndices(50, order, 3)).toEqual(batchIndices(50, order, 3));
    expect(batchIndices(50, order, 0)).not.toEqual(batchIndices(50, order, 1));
    expect(batchIndices(50, { ...order, seed: 2 }, 0)).not.toEqual(batchIndices(50, order, 0));
  });

  it("refuses batches that no epoch fills", () => {
    expect(() => batchIndices(7, { batchSize: 4, seed: 0, worldSize: 2 }, 0)).toThrow(/need 8 latents, got 7/);
  });
});

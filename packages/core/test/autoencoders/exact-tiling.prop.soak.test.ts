/** Tiles give the whole picture's result for configurations that nobody published: any depths, blocks, norms and sizes. */
import { useEngine } from "@dcae/test-support/engine";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type ExactPlan, exactPlans } from "../../src/autoencoders/exact-tiling-plan.js";
import { buildDecodeProgram, buildEncodeProgram } from "../../src/internal/index.js";
import { spatialCompression } from "../../src/models/dc-ae/dc-ae-config.js";
import { anyDcAeConfig } from "../support/arbitrary-config.js";
import { tiledErrors } from "../support/tiled-error.js";

const engine = useEngine();

const cells = fc.integer({ min: 1, max: 5 });

test("any configuration, picture and tile", async () => {
  let tried = 0;
  await fc.assert(
    fc.asyncProperty(
      anyDcAeConfig("any"),
      fc.tuple(cells, cells),
      fc.integer({ min: 1, max: 3 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.boolean(),
      async (config, [rows, columns], side, share, encodes) => {
        const f = spatialCompression(config);
        const program = encodes
          ? buildEncodeProgram({ kind: "dc-ae", config }, [1, config.inChannels, rows * f, columns * f])
          : buildDecodeProgram({ kind: "dc-ae", config }, [1, config.latentChannels, rows, columns]);
        const plans = exactPlans(program, [side], { maxMemory: 0, predictMemory: () => 0 });
        const chosen = plans[Math.round(share * (plans.length - 1))] as ExactPlan | undefined;
        if (chosen === undefined) return;
        tried++;
        const [error] = await tiledErrors(engine, program, [chosen]);
        expect(error).toBeLessThanOrEqual(1e-5);
      },
    ),
    { numRuns: 60, seed: 5 },
  );
  // Some begin with attention that looks along lines, which can't be tiled at all.
  expect(tried).toBeGreaterThan(40);
});

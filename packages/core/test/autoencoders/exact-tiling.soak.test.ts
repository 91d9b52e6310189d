/** Tiles with halos give the whole picture's result: every preset's architecture at tiny widths, every kind of division. */
import { useEngine } from "@dcae/test-support/engine";
import { describe, expect, test } from "vitest";
import { buildDecodeProgram, buildEncodeProgram } from "../../src/internal/index.js";
import { spatialCompression } from "../../src/models/dc-ae/dc-ae-config.js";
import { ARCHITECTURES } from "../../src/models/dc-ae/dc-ae-presets.js";
import { resolveSdVaeConfig } from "../../src/models/sd-vae/sd-vae-config.js";
import { samplePlans } from "../support/sample-plans.js";
import { tiledErrors } from "../support/tiled-error.js";
import { tinyConfig } from "../support/tiny-config.js";

const TOLERANCE = 1e-5;

const engine = useEngine({ optimize: false });

describe.each(Object.entries(ARCHITECTURES))("%s", (_, { config }) => {
  const small = tinyConfig(config);
  const f = spatialCompression(small);
  // Neither 2 nor 3 divides both.
  const [rows, columns] = f === 128 ? [3, 4] : [4, 7];

  test("encode", async () => {
    const program = buildEncodeProgram({ kind: "dc-ae", config: small }, [1, 3, rows * f, columns * f]);
    const plans = samplePlans(program, [2, 3], [0, 0.5, 1]);
    for (const error of await tiledErrors(engine, program, plans)) expect(error).toBeLessThanOrEqual(TOLERANCE);
  });

  test("decode", async () => {
    const program = buildDecodeProgram({ kind: "dc-ae", config: small }, [1, small.latentChannels, rows, columns]);
    const plans = samplePlans(program, [2, 3], [0, 0.5, 1]);
    for (const error of await tiledErrors(engine, program, plans)) expect(error).toBeLessThanOrEqual(TOLERANCE);
  });
});

describe("SD-VAE", () => {
  const config = resolveSdVaeConfig({ blockOutChannels: [8, 16], layersPerBlock: 1, normNumGroups: 4, sampleSize: 64 });

  test.each([
    ["encode", buildEncodeProgram({ kind: "sd-vae", config }, [1, 3, 24, 32])],
    ["decode", buildDecodeProgram({ kind: "sd-vae", config }, [1, 4, 12, 16])],
  ])("%s", async (_, program) => {
    const plans = samplePlans(program, [2], [0.5]);
    expect(plans.length).toBeGreaterThan(0);
    for (const error of await tiledErrors(engine, program, plans)) expect(error).toBeLessThanOrEqual(TOLERANCE);
  });
});

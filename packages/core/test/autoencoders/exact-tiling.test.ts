/** Tiles with halos give the whole picture's result: architectures at tiny widths, and plans of the real ones. */
import { useEngine } from "@dcae/test-support/engine";
import { describe, expect, test } from "vitest";
import { planExactTiling } from "../../src/autoencoders/exact-tiling-plan.js";
import { ConfigError } from "../../src/errors.js";
import { constant, createProgram, groupNorm, input, Tensor, type Value } from "../../src/graph/index.js";
import { buildDecodeProgram, buildEncodeProgram } from "../../src/internal/index.js";
import { type DcAeConfig, spatialCompression } from "../../src/models/dc-ae/dc-ae-config.js";
import type { DcAePreset } from "../../src/models/dc-ae/dc-ae-presets.js";
import type { ConfigOf } from "../../src/models/families.js";
import { getPreset } from "../../src/models/index.js";
import { MEMORY_MARGIN } from "../../src/runtime/program-memory.js";
import { errorOf } from "../support/error-of.js";
import { plansOf, predictMemory, samplePlans } from "../support/sample-plans.js";
import { tiledErrors } from "../support/tiled-error.js";
import { tinyConfig } from "../support/tiny-config.js";

const TOLERANCE = 1e-5;
const SOME = ["dc-ae-f32c32-in-1.0", "dc-ae-f64c128-in-1.0"];

const engine = useEngine({ optimize: false });

// Every architecture and every kind of division: exact-tiling.soak.test.ts.
describe.each(SOME)("%s", (name) => {
  const small = tinyConfig((getPreset(name) as DcAePreset).config);
  const f = spatialCompression(small);
  // Neither 2 nor 3 divides both.
  const [rows, columns] = f === 128 ? [3, 4] : [4, 7];

  test("encode", async () => {
    const program = buildEncodeProgram({ kind: "dc-ae", config: small }, [1, 3, rows * f, columns * f]);
    const plans = samplePlans(program, [2], [0.5]);
    for (const error of await tiledErrors(engine, program, plans)) expect(error).toBeLessThanOrEqual(TOLERANCE);
  });

  test("decode", async () => {
    const program = buildDecodeProgram({ kind: "dc-ae", config: small }, [1, small.latentChannels, rows, columns]);
    const plans = samplePlans(program, [2], [0.5]);
    for (const error of await tiledErrors(engine, program, plans)) expect(error).toBeLessThanOrEqual(TOLERANCE);
  });

  test("decode by two ranks", async () => {
    const program = buildDecodeProgram({ kind: "dc-ae", config: small }, [1, small.latentChannels, rows, columns]);
    const errors = await tiledErrors(engine, program, samplePlans(program, [2], [0.5]), 2);
    expect(errors.length).toBeGreaterThan(1);
    for (const error of errors) expect(error).toBeLessThanOrEqual(TOLERANCE);
  });
});

/** As float64 has it: what the whole picture's float32 loses must not hide what tiles lose. */
function standardized(x: Tensor): Tensor {
  const values = x.toFloat32();
  const meanOf = (of: (value: number) => number) => values.reduce((sum, value) => sum + of(value), 0) / values.length;
  const mean = meanOf((value) => value);
  const root = Math.sqrt(meanOf((value) => (value - mean) ** 2) + 1e-5);
  return Tensor.float32(
    values.map((value) => (value - mean) / root),
    x.shape,
  );
}

test("statistics of a million pixels stay exact in tiles", async () => {
  const x = input("x", [1, 4, 512, 512]);
  const [weight, bias] = [1, 0].map((value) => constant(Tensor.full([4], value))) as [Value, Value];
  const program = createProgram("norm", { y: groupNorm(x, weight, bias, { groups: 1, eps: 1e-5 }) });
  const errors = await tiledErrors(engine, program, plansOf(program, [256]), 1, standardized);
  expect(errors.length).toBeGreaterThan(0);
  for (const error of errors) expect(error).toBeLessThanOrEqual(1e-5);
});

describe("planning", () => {
  const config = getPreset("dc-ae-f32c32-in-1.0").config as DcAeConfig;
  const program = buildDecodeProgram({ kind: "dc-ae", config }, [1, 32, 32, 32]);
  const plan = (maxMemory: number, of = program) => planExactTiling(of, { maxMemory, predictMemory });
  const whole = plan(64e9);
  /** The limit under which a plan that is predicted to take so many bytes is just accepted. */
  const limit = (bytes: number) => bytes * MEMORY_MARGIN;

  test("runs whole what fits", () => {
    expect(whole.tiled).toBe("whole");
    expect(plan(limit(whole.bytes) * 1.001).tiled).toBe("whole");
    expect(plan(limit(whole.bytes) * 0.999).tiled).not.toBe("whole");
  });

  test("tiles the large end first, and more with less memory", () => {
    const some = plan(limit(whole.bytes) * 0.82);
    expect(some.tiled).toBe("last");
    expect(some.bytes).toBeLessThanOrEqual(whole.bytes * 0.82);
    expect(some.passes).toHaveLength(1);
    expect(some.overhead).toBeGreaterThan(1);
    const more = plan(limit(whole.bytes) * 0.64);
    expect(more.passes.length).toBeGreaterThanOrEqual(some.passes.length);
    expect(more.overhead).toBeGreaterThan(some.overhead);
  });

  test("ranks divide the work, also where the picture would fit whole: what runs whole, each would do for itself", () => {
    const shared = (ranks: number, maxMemory: number) => planExactTiling(program, { maxMemory, predictMemory, ranks });
    for (const maxMemory of [limit(whole.bytes) * 0.82, 64e9]) {
      const [two, four] = [shared(2, maxMemory), shared(4, maxMemory)];
      expect(two.share).toBeGreaterThanOrEqual(0.5);
      expect(two.share).toBeLessThan(0.7);
      expect(four.share).toBeLessThan(0.6 * two.share);
      expect(two.bytes).toBeLessThanOrEqual(maxMemory);
    }
    expect(whole.share).toBe(1);
    expect(plan(limit(whole.bytes) * 0.82).share).toBeGreaterThan(1);
  });

  test("two ranks take a band each, where it fits", () => {
    const { passes } = planExactTiling(program, { maxMemory: 64e9, predictMemory, ranks: 2 });
    for (const { regions, cells } of passes) {
      const [height, width] = cells;
      expect(regions).toEqual([
        [
          { start: 0, stop: height / 2 },
          { start: 0, stop: width },
        ],
        [
          { start: height / 2, stop: height },
          { start: 0, stop: width },
        ],
      ]);
    }
  });

  test("attention goes through its sums over the pixels: a pass for each block", () => {
    const [least] = plansOf(program, [256]).slice(-1);
    // Three stages of two or three blocks with linear attention, and the pass that makes the picture.
    expect(least?.whole).toBeUndefined();
    expect(least?.passes.length).toBe(7);
    expect(least?.passes.at(-1)?.sums.size).toBe(0);
  });

  test("refuses what can't fit, naming the memory that would do", () => {
    const error = errorOf(ConfigError, () => plan(300e6));
    const needed = Number(/at least (\d+) MB/.exec(error.message)?.[1]) * 1e6;
    expect(plan(needed).bytes).toBeLessThanOrEqual(needed);
    expect(() => plan(needed - 2e6)).toThrow(/at least/);
  });

  test("a picture as large as a screen wall fits where the whole would need many times as much", () => {
    const large = buildDecodeProgram({ kind: "dc-ae", config }, [1, 32, 128, 128]);
    expect(plan(64e9, large).bytes).toBeGreaterThan(10e9);
    expect(plan(limit(2.55e9), large).overhead).toBeLessThan(1.6);
  });

  test("statistics of SD-VAE are sums as well, attention with softmax stays whole", async () => {
    const kl = getPreset("sd-vae-ft-mse").config as ConfigOf<"sd-vae">;
    const plans = plansOf(buildDecodeProgram({ kind: "sd-vae", config: kl }, [1, 4, 32, 32]), [8]);
    expect(plans.length).toBeGreaterThan(5);
    for (const { whole: deep } of plans) expect(deep).toBeDefined();
  });
});

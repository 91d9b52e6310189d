import { createEngine } from "@dcae/core/runtime";
import { expect, it } from "vitest";
import { benchDenoising, commonResolution, type DenoisingBenchRow } from "../src/bench/bench-denoising.js";

it("the benchmark reports tokens, parameters and multiply-accumulates of what it timed", async () => {
  const engine = await createEngine({ device: "cpu", threads: 2 });
  const seen: DenoisingBenchRow[] = [];
  const latents = ["dc-ae-f64c128-512", "dc-ae-f128c512-512"] as const;
  const rows = await benchDenoising(engine, { size: "dit-s", latents, runs: 1, onRow: (row) => void seen.push(row) });
  await engine.dispose();
  expect(rows).toEqual(seen);
  expect(rows.map(({ tokens, parameters }) => [tokens, parameters])).toEqual([
    [64, 33_018_880],
    [16, 33_443_584],
  ]);
  // The published counts also have a little for norms and products, which these leave out.
  expect(rows[0]!.gmacs / 1.42).toBeCloseTo(1, 1);
  expect(rows[1]!.gmacs / 0.36).toBeCloseTo(1, 1);
  expect(rows.every(({ seconds, gflops }) => seconds > 0 && gflops > 0)).toBe(true);
  expect(rows[0]!.speedup).toBe(1);
  expect(commonResolution(latents)).toBe(512);
  expect(commonResolution(["sd-vae-f8-256", "sd-vae-f8-512"])).toBeUndefined();
});

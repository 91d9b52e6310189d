/** The headline's measurement: what it says of a denoiser, and what happens to a case that fails. */
import { createEngine, type Engine } from "@dcae/core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { benchDenoising, benchDiffusion, commonResolution, type MeasureStep } from "../src/bench/bench-diffusion.js";

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ device: "cpu", threads: 2 });
});
afterAll(() => engine.dispose());

const latents = ["dc-ae-f64c128-512", "dc-ae-f128c512-512"] as const;
const options = { denoisers: ["dit-s"], latents, batch: 1, warmup: 1, runs: 1 } as const;

it("reports tokens, parameters, multiply-accumulates and times of what it ran", async () => {
  const seen: string[] = [];
  const parts = { denoise: benchDenoising };
  const rows = await benchDiffusion(engine, { ...options, parts, onProgress: (label) => void seen.push(label) });
  expect(seen).toEqual(["dit-s denoise dc-ae-f64c128-512", "dit-s denoise dc-ae-f128c512-512"]);
  expect(rows.map(({ tokens, parameters }) => [tokens, parameters])).toEqual([
    [64, 33_018_880],
    [16, 33_443_584],
  ]);
  // The published counts also have a little for norms and products, which these leave out.
  expect(rows[0]!.gmacs! / 1.42).toBeCloseTo(1, 1);
  expect(rows[1]!.gmacs! / 0.36).toBeCloseTo(1, 1);
  expect(rows.every(({ times }) => times!.median > 0 && times!.runs === 1)).toBe(true);
  expect(rows.map(({ speedup }) => speedup)).toEqual([1, rows[0]!.times!.median / rows[1]!.times!.median]);
  expect(commonResolution(latents)).toBe(512);
  expect(commonResolution(["sd-vae-f8-256", "sd-vae-f8-512"])).toBeUndefined();
});

it("a case that fails is an entry with its problem, and nothing is compared with it", async () => {
  const train: MeasureStep = async (_, { latent }) => {
    if (latent === latents[0]) throw new Error("too large");
    return { tokens: 16, parameters: 1, gmacs: 1, times: [2] };
  };
  const [first, second] = await benchDiffusion(engine, { ...options, parts: { train } });
  expect(first).toMatchObject({ latent: latents[0], problem: "too large" });
  expect([second?.times?.median, second?.speedup]).toEqual([2, undefined]);
  const controller = new AbortController();
  const stopping: MeasureStep = async () => {
    controller.abort(new Error("enough"));
    throw new Error("stopped on the way");
  };
  const stopped = benchDiffusion(engine, { ...options, parts: { train: stopping }, signal: controller.signal });
  await expect(stopped).rejects.toThrow("stopped on the way");
});

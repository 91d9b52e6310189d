import { Tensor } from "@dcae/core/graph";
import { expect, test } from "vitest";
import { latentStatistics } from "../src/index.js";
import { expectWithin } from "./support/compare.js";
import { loadTrainingCase } from "./support/golden.js";

test("latent_stats", async () => {
  const { config, tolerance, tensor } = await loadTrainingCase("latent_stats");
  const statistics = latentStatistics();
  for (let i = 0; i < config.batches; i++) statistics.add(tensor(`in.latent${i}`));
  const result = statistics.result();
  for (const key of ["mean", "rms", "std"] as const) {
    expectWithin(Tensor.float32([result[key]]), tensor(`out.${key}`), tolerance, key);
    const channels = Tensor.float32(result.channels.map((channel) => channel[key]));
    expectWithin(channels, tensor(`out.channel_${key}`), tolerance, `channel ${key}`);
  }
  expectWithin(Tensor.float32([result.scalingFactor]), tensor("out.scaling_factor"), tolerance);
  expect(result.count).toBe(10);
});

test("what isn't a latent is refused", () => {
  const statistics = latentStatistics();
  expect(() => statistics.result()).toThrow(/no latents/);
  statistics.add(Tensor.zeros([2, 4, 2, 2]));
  expect(() => statistics.add(Tensor.zeros([2, 8, 2, 2]))).toThrow(/so far with 4 channels|got latents \[2, 8, 2, 2\]/);
  expect(() => statistics.add(Tensor.full([1, 4, 1, 1], Number.NaN))).toThrow(/isn't finite/);
});

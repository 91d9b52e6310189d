/** Mean, root mean square and deviation of latents: one definition for training sets, evaluations and folders. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { openSafetensorsFile } from "../../src/checkpoint/index.js";
import { Tensor } from "../../src/graph/index.js";
import {
  addChannelSums,
  channelMoments,
  channelSums,
  latentStatistics,
  momentsOf,
  valueSums,
} from "../../src/internal/index.js";

const path = (ending: string) => fileURLToPath(new URL(`../golden/training/latent_stats.${ending}`, import.meta.url));

async function loadCase() {
  const { config, tolerance } = JSON.parse(readFileSync(path("json"), "utf8")) as {
    readonly config: { readonly batches: number };
    readonly tolerance: { readonly atol: number; readonly rtol: number };
  };
  const file = await openSafetensorsFile(path("safetensors"));
  const tensors = new Map<string, Float32Array>();
  const shapes = new Map<string, readonly number[]>();
  for (const entry of file.entries.values()) {
    tensors.set(entry.name, (await entry.read()).toFloat32());
    shapes.set(entry.name, entry.shape);
  }
  await file.close();
  const close = (actual: ArrayLike<number>, name: string) => {
    const expected = tensors.get(name)!;
    expect(actual).toHaveLength(expected.length);
    expected.forEach((value, i) => {
      expect(Math.abs(actual[i]! - value), `${name} ${i}`).toBeLessThanOrEqual(
        tolerance.atol + tolerance.rtol * Math.abs(value),
      );
    });
  };
  const batches = Array.from({ length: config.batches }, (_, i) =>
    Tensor.float32(tensors.get(`in.latent${i}`)!, shapes.get(`in.latent${i}`)!),
  );
  return { batches, close };
}

describe("statistics of latents", () => {
  it("equal those of the reference, all and per channel", async () => {
    const { batches, close } = await loadCase();
    const statistics = latentStatistics();
    for (const batch of batches) statistics.add(batch);
    const result = statistics.result();
    for (const key of ["mean", "rms", "std"] as const) {
      close([result[key]], `out.${key}`);
      close(
        result.channels.map((channel) => channel[key]),
        `out.channel_${key}`,
      );
    }
    close([result.scalingFactor], "out.scaling_factor");
    expect(result.count).toBe(batches.reduce((sum, { shape }) => sum + shape[0]!, 0));
  });

  it("are the same from sums of parts", async () => {
    const { batches, close } = await loadCase();
    const [channels, plane] = [batches[0]!.shape[1]!, batches[0]!.shape[2]! * batches[0]!.shape[3]!];
    const total = channelSums([], channels, plane);
    let count = 0;
    for (const batch of batches) {
      addChannelSums(total, channelSums(batch.toFloat32(), channels, plane));
      count += batch.shape[0]!;
    }
    close([channelMoments(total, count * plane).std], "out.std");
  });

  it("of equal values have no deviation, though rounding leaves one below zero", () => {
    for (const value of [0.1, 1 / 3, 1e7 / 3]) {
      expect(momentsOf(valueSums(new Array(1000).fill(value))).std).toBeLessThan(1e-6 * value);
    }
    expect(momentsOf(valueSums([3])).std).toBe(0);
    expect(momentsOf(valueSums([9, 1, 2, 9], 1, 3))).toEqual({
      mean: 1.5,
      rms: Math.sqrt(2.5),
      std: Math.sqrt(0.5),
    });
  });

  it("refuse what isn't a latent", () => {
    const statistics = latentStatistics();
    expect(() => statistics.result()).toThrow(/no latents/);
    statistics.add(Tensor.zeros([2, 4, 2, 2]));
    expect(() => statistics.add(Tensor.zeros([2, 8, 2, 2]))).toThrow(/got latents \[2, 8, 2, 2\]/);
    expect(() => statistics.add(Tensor.full([1, 4, 1, 1], Number.NaN))).toThrow(/isn't finite/);
  });
});

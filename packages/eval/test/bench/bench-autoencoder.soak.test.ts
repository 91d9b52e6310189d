/** What is measured, and how it is reported; each run multiplies large matrices first, as the yardstick. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { countMacs, Tensor } from "@dcae/core/graph";
import { imageToTensor } from "@dcae/core/image";
import { calibrationScenes, drawScene, type SceneClass } from "@dcae/test-support/scenes";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { describe, expect, it } from "vitest";
import { benchAutoencoder } from "../../src/bench/bench-autoencoder.node.js";
import type { BenchQuality } from "../../src/bench/bench-result.js";
import { formatBench } from "../../src/bench/format-bench.js";
import { prepareCheckpoint } from "../../src/bench/prepare-models.node.js";
import { buildPart } from "../../src/bench/run-bench-case.node.js";
import { saveTinyModel, tinyModel } from "../support/tiny-model.js";

const folder = temporaryFolder();
const scene = (kind: SceneClass, seed: number) => imageToTensor(drawScene({ width: 256, height: 256, seed, kind }));

describe("benchAutoencoder", () => {
  it("measures both directions and reports a case that can't be", async () => {
    const model = await saveTinyModel(join(folder, "tiny"));
    const labels: string[] = [];
    const result = await benchAutoencoder({
      models: [model],
      sizes: [16, 18],
      iterations: 2,
      warmup: 1,
      threads: [1],
      isolate: false,
      onProgress: ({ label }) => labels.push(label),
    });
    expect(result.entries).toHaveLength(4);
    const [encode, decode, odd] = result.entries;
    expect(encode?.measurement?.shapes).toEqual({ input: [1, 3, 16, 16], output: [1, 8, 4, 4] });
    expect(decode?.measurement?.shapes).toEqual({ input: [1, 8, 4, 4], output: [1, 3, 16, 16] });
    expect(encode?.measurement?.macs).toBe(countMacs(buildPart(tinyModel(), "encode", 1, 16)));
    expect(encode?.measurement?.times.runs).toBe(2);
    expect(encode?.shareOfPeak).toBeGreaterThan(0);
    expect(odd?.problem).toMatch(/multiple/);
    expect(odd?.measurement).toBeUndefined();
    expect(result.peaks).toHaveLength(1);
    // Before the first case and behind the last one.
    expect(labels.filter((label) => label === "matrix products on cpu, 1 threads")).toHaveLength(2);
    const text = formatBench(result);
    expect(text).toMatch(/^batch 1, device cpu, dtype float32, threads 1, graph auto$/m);
    expect(text).toMatch(/tiny {2}encode {4}16 {2}/);
    expect(text).toMatch(/failed: /);
    expect(text).not.toContain("plain/opt.");
  });

  it("gives the ratio of a plain graph to the optimized one, and direct-equivalent GFLOP/s", async () => {
    const model = await saveTinyModel(join(folder, "both"));
    const runs = { iterations: 3, warmup: 1, threads: [1], isolate: false };
    const options = { models: [model], sizes: [32], optimize: [false, true], ...runs };
    const { entries, ...rest } = await benchAutoencoder(options);
    expect(entries.map(({ part, optimize }) => [part, optimize])).toEqual([
      ["encode", false],
      ["encode", true],
      ["decode", false],
      ["decode", true],
    ]);
    for (const [plain, optimized] of [entries.slice(0, 2), entries.slice(2)]) {
      const [before, after] = [plain?.measurement, optimized?.measurement];
      if (before === undefined || after === undefined) throw new Error("a case failed");
      // The work is that of the model as it is written, whatever the rewritten graph multiplies.
      expect(after.macs).toBe(before.macs);
      expect(optimized?.speedup).toBe(before.times.median / after.times.median);
      expect(optimized?.gflops).toBe((2 * after.macs) / after.times.median / 1e9);
      expect(plain?.speedup).toBeUndefined();
    }
    const text = formatBench({ entries, ...rest });
    expect(text).toContain("plain/opt.");
    expect(text).toMatch(/encode {2}optimized/);
  });

  it("measures int8 beside float32, and tells what it costs", async () => {
    const { entries, ...rest } = await benchAutoencoder({
      models: ["small-f32"],
      sizes: [64],
      dtypes: ["float32", "int8"],
      int8Pictures: { calibration: calibrationScenes(), test: [scene("dunes", 1000), scene("forest", 1001)] },
      optimize: [false, true],
      iterations: 3,
      warmup: 1,
      threads: [1],
      isolate: false,
    });
    // There is no optimized form of int8.
    expect(entries.map(({ part, dtype, optimize }) => [part, dtype, optimize])).toEqual([
      ["encode", "float32", false],
      ["encode", "float32", true],
      ["decode", "float32", false],
      ["decode", "float32", true],
      ["encode", "int8", false],
      ["decode", "int8", false],
    ]);
    const medians = entries.map(({ measurement }) => measurement?.times.median as number) as [number, ...number[]];
    expect(entries[4]?.speedup).toBe((medians[0] as number) / (medians[4] as number));
    expect(entries[5]?.speedup).toBe((medians[2] as number) / (medians[5] as number));
    expect(entries[4]?.measurement?.macs).toBe(entries[0]?.measurement?.macs);
    expect(rest.quality).toHaveLength(1);
    const [cost] = rest.quality as [BenchQuality];
    expect(cost).toMatchObject({ model: "small-f32", dtype: "int8", trained: true, pictures: 2, size: 256 });
    expect(cost.psnrFloat32 - cost.psnr).toBeLessThan(0.1);
    expect(cost.psnrBetween).toBeGreaterThan(44);
    expect(cost.psnrBetween).toBeLessThan(60);
    const line = `small-f32 in int8: PSNR ${cost.psnr.toFixed(2)} dB, in float32 ${cost.psnrFloat32.toFixed(2)} dB`;
    expect(formatBench({ entries, ...rest })).toContain(line);
  });

  it("reports a model whose int8 can't be measured with its cases", async () => {
    const options = { models: ["small-f32"], sizes: [32], threads: [1], isolate: false };
    // No multiple of the model's compression.
    const picture = Tensor.zeros([1, 3, 40, 40]);
    const int8Pictures = { calibration: [picture], test: [picture] };
    const { entries, quality } = await benchAutoencoder({
      ...options,
      dtypes: ["int8"],
      int8Pictures,
      parts: ["encode"],
    });
    expect(entries[0]?.problem).toMatch(/aren't multiples of 32/);
    expect(quality).toEqual([]);
  });

  it("keeps random weights in a work folder", async () => {
    const work = join(folder, "work");
    const path = await prepareCheckpoint("sd-vae-ft-ema", work);
    expect(path).toBe(join(work, "sd-vae-ft-ema"));
    const before = statSync(join(path, "config.json")).mtimeMs;
    expect(await prepareCheckpoint("sd-vae-ft-ema", work)).toBe(path);
    expect(statSync(join(path, "config.json")).mtimeMs).toBe(before);
  });
});

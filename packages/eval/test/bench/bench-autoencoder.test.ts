import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { countMacs } from "@dcae/core/graph";
import { describe, expect, it } from "vitest";
import { benchAutoencoder } from "../../src/bench/bench-autoencoder.node.js";
import { benchCases } from "../../src/bench/bench-cases.js";
import type { BenchQuality } from "../../src/bench/bench-result.js";
import { formatBench } from "../../src/bench/format-bench.js";
import { prepareCheckpoint } from "../../src/bench/prepare-checkpoints.node.js";
import { type BenchTask, buildPart } from "../../src/bench/run-bench-case.node.js";
import { runIsolated } from "../../src/bench/run-isolated.node.js";
import { summarizeTimes } from "../../src/bench/summarize-times.js";
import { temporaryFolder } from "../support/temporary-folder.js";
import { saveTinyModel, tinyModel } from "../support/tiny-model.js";

const folder = temporaryFolder();

describe("benchCases", () => {
  it("makes every combination", () => {
    const lists = { models: ["a", "b"], sizes: [256, 512], batches: [1, 4], threads: [1, 2], optimize: [true, false] };
    const cases = benchCases(lists);
    expect(cases).toHaveLength(2 * 2 * 2 * 2 * 2 * 2);
    expect(new Set(cases.map((entry) => JSON.stringify(entry))).size).toBe(64);
    expect(cases[0]).toEqual({
      model: "a",
      device: "cpu",
      dtype: "float32",
      threads: 1,
      size: 256,
      batch: 1,
      part: "encode",
      optimize: false,
    });
    // The optimized case stands right behind its plain one.
    expect(cases[1]).toEqual({ ...cases[0], optimize: true });
  });

  it("refuses what makes no sense", () => {
    expect(() => benchCases({ models: [] })).toThrow(/models: the list is empty/);
    expect(() => benchCases({ models: ["a"], sizes: [0.5] })).toThrow(/sizes: 0\.5 isn't a positive integer/);
    expect(() => benchCases({ models: ["a"], batches: [2, 2] })).toThrow(/batches: an entry stands there twice/);
  });
});

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
    expect(text).toMatch(/^batch 1, device cpu, dtype float32, threads 1, graph plain$/m);
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
    expect(cost).toMatchObject({ model: "small-f32", dtype: "int8", trained: true, pictures: 4, size: 256 });
    expect(cost.psnrFloat32 - cost.psnr).toBeLessThan(0.1);
    expect(cost.psnrBetween).toBeGreaterThan(44);
    expect(cost.psnrBetween).toBeLessThan(60);
    const line = `small-f32 in int8: PSNR ${cost.psnr.toFixed(2)} dB, in float32 ${cost.psnrFloat32.toFixed(2)} dB`;
    expect(formatBench({ entries, ...rest })).toContain(line);
  });

  it("reports a model that has no int8 with its cases", async () => {
    const work = join(folder, "work");
    const options = { models: ["sd-vae-ft-ema"], sizes: [16], threads: [1], isolate: false, workFolder: work };
    const { entries, quality } = await benchAutoencoder({ ...options, dtypes: ["int8"], parts: ["encode"] });
    expect(entries[0]?.problem).toMatch(/not a DC-AE/);
    expect(quality).toEqual([]);
  });

  it("knows a preset's name from a path, and says what to give instead", async () => {
    const bench = (model: string) => benchAutoencoder({ models: [model] });
    await expect(bench("dc-ae-f32c32-in")).rejects.toThrow(/unknown preset "dc-ae-f32c32-in"/);
    await expect(bench("mit-han-lab/dc-ae-f32c32-in-1.0")).rejects.toThrow(/there is no such checkpoint here/);
    await expect(bench("./absent")).rejects.toThrow(/\.\/absent: there is no such checkpoint here/);
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

describe("runIsolated", () => {
  const task: BenchTask = {
    kind: "peak",
    device: "cpu",
    dtype: "float32",
    threads: 1,
    optimize: false,
    warmup: 0,
    iterations: 1,
  };

  /** A child that runs `body` when its task comes. */
  function child(name: string, body: string): URL {
    const path = join(folder, `${name}.mjs`);
    writeFileSync(path, `process.once("message", (task) => { ${body} });\n`);
    return pathToFileURL(path);
  }

  it("passes the task and takes the measurement", async () => {
    const echo = child("echo", "process.send({ measurement: { task } }, () => process.disconnect());");
    expect(await runIsolated(task, { child: echo })).toEqual({ task });
  });

  it("says what went wrong in the child", async () => {
    const problem = child("problem", 'process.send({ problem: "no such device" }, () => process.disconnect());');
    await expect(runIsolated(task, { child: problem })).rejects.toThrow("no such device");
  });

  it("says how the child ended", async () => {
    const ended = child("ended", "process.exit(3);");
    await expect(runIsolated(task, { child: ended })).rejects.toThrow(/ended with status 3 and without a result/);
    const killed = child("killed", 'process.kill(process.pid, "SIGKILL");');
    await expect(runIsolated(task, { child: killed })).rejects.toThrow(
      /was killed, most likely because memory ran out/,
    );
  });

  it("ends the child when the run is stopped", async () => {
    const stop = new AbortController();
    const endless = child("endless", "setInterval(() => {}, 1000);");
    const run = runIsolated(task, { child: endless, signal: stop.signal });
    setTimeout(() => stop.abort(new Error("enough")), 50);
    await expect(run).rejects.toThrow("enough");
  });

  it("says when the script isn't built", async () => {
    const absent = pathToFileURL(join(folder, "absent.js"));
    await expect(runIsolated(task, { child: absent })).rejects.toThrow(/script of isolated measurements isn't there/);
  });
});

describe("summarizeTimes", () => {
  it("gives median, extremes and half the middle half's width", () => {
    expect(summarizeTimes([5, 1, 3, 2, 4])).toEqual({ median: 3, min: 1, max: 5, spread: 1 / 3, runs: 5 });
    expect(summarizeTimes([2])).toEqual({ median: 2, min: 2, max: 2, spread: 0, runs: 1 });
  });
});

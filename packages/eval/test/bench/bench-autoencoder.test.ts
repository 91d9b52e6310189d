import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Tensor } from "@dcae/core/graph";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { describe, expect, it } from "vitest";
import { type BenchOptions, benchAutoencoder, benchCases } from "../../src/bench/bench-autoencoder.node.js";
import type { BenchEntry, BenchResult } from "../../src/bench/bench-result.js";
import { formatBench } from "../../src/bench/format-bench.js";
import { type BenchTask, runIsolated } from "../../src/bench/run-bench-case.node.js";
import { thisMachine } from "../../src/results/evaluation-result.node.js";

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

  it("leaves the form to the engine by default, and measures other types than float32 once", () => {
    const formsOf = (options: Partial<BenchOptions>) =>
      benchCases({ models: ["a"], parts: ["encode"], ...options }).map(({ dtype, optimize }) => [dtype, optimize]);
    expect(formsOf({})).toEqual([["float32", "auto"]]);
    const dtypes = ["float32", "float16"] as const;
    expect(formsOf({ dtypes, optimize: [true, "auto", false] })).toEqual([
      ["float32", false],
      ["float32", "auto"],
      ["float32", true],
      ["float16", false],
    ]);
    expect(formsOf({ dtypes, optimize: ["auto", true] })).toEqual([
      ["float32", "auto"],
      ["float32", true],
      ["float16", "auto"],
    ]);
  });

  it("refuses what makes no sense", () => {
    expect(() => benchCases({ models: [] })).toThrow(/models: the list is empty/);
    expect(() => benchCases({ models: ["a"], sizes: [0.5] })).toThrow(/sizes: 0\.5 isn't a positive integer/);
    expect(() => benchCases({ models: ["a"], batches: [2, 2] })).toThrow(/batches: an entry stands there twice/);
    const lists = { models: ["a"], dtypes: ["int8"] as const };
    expect(() => benchCases(lists)).toThrow(/int8Pictures: int8 among the dtypes needs them/);
    const int8Pictures = { calibration: [], test: [] };
    expect(() => benchCases({ models: ["a"], int8Pictures })).toThrow(/int8Pictures: they have no effect without int8/);
    expect(() => benchCases({ ...lists, int8Pictures })).toThrow(/int8Pictures: there are no pictures/);
    const [large, small] = [Tensor.zeros([1, 3, 8, 8]), Tensor.zeros([1, 3, 4, 4])];
    const uneven = { calibration: [large], test: [large, small] };
    expect(() => benchCases({ ...lists, int8Pictures: uneven })).toThrow(
      /int8Pictures: those for the test .* one size/,
    );
  });
});

describe("formatBench", () => {
  const setting = {
    model: "a",
    part: "decode",
    size: 256,
    batch: 1,
    device: "cpu",
    dtype: "int8",
    threads: 1,
  } as const;
  const entry: BenchEntry = { ...setting, optimize: false, problem: "no int8" };
  const measured = { psnr: 30, psnrFloat32: 31, psnrBetween: 40 };
  const cost = { model: "a", dtype: "int8", trained: true, pictures: 3, size: 64, ...measured } as const;
  const result: BenchResult = {
    formatVersion: 1,
    kind: "autoencoder-throughput",
    date: "2025-01-01T00:00:00.000Z",
    machine: thisMachine(),
    runtime: "onnxruntime-node",
    warmup: 1,
    iterations: 2,
    conditions: [],
    peaks: [],
    entries: [entry, { ...entry, part: "encode" }],
    quality: [cost],
  };

  it("names the pictures that a type's quality was measured on", () => {
    const line = (source?: string) =>
      formatBench({ ...result, quality: [{ ...cost, ...(source !== undefined && { source }) }] });
    expect(line("photos")).toContain("between the two 40.00 dB (3 pictures of photos, 64x64)");
    expect(line()).toContain("between the two 40.00 dB (3 pictures, 64x64)");
  });

  it("puts a reason at the end of its row, whatever its length", () => {
    const lines = formatBench(result).split("\n");
    expect(lines.slice(2, 5)).toEqual([
      "model  part    ms/image  images/s  spread  GMAC/image  GFLOP/s  of peak  RSS MiB",
      "a      decode  failed: no int8",
      "a      encode  failed: no int8",
    ]);
  });
});

describe("benchAutoencoder", () => {
  it("knows a preset's name from a path, and says what to give instead", async () => {
    const bench = (model: string) => benchAutoencoder({ models: [model] });
    await expect(bench("dc-ae-f32c32-in")).rejects.toThrow(/unknown preset "dc-ae-f32c32-in"/);
    await expect(bench("mit-han-lab/dc-ae-f32c32-in-1.0")).rejects.toThrow(/there is no such checkpoint here/);
    await expect(bench("./absent")).rejects.toThrow(/\.\/absent: there is no such checkpoint here/);
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

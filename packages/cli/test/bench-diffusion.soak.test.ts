/** `dcae bench diffusion`: a small size on short latents; ratios, tables, JSON. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { expect, test } from "vitest";
import { succeed } from "./support/cli.js";
import type { DiffusionBenchResult } from "./support/diffusion-bench.js";

const folder = temporaryFolder();
const quick = ["--iterations", "1", "--threads", "1", "--latents", "dc-ae-f64c128-512,dc-ae-f128c512-512"];

test("both parts of one size, with ratios against the first latents", async () => {
  const out = join(folder, "bench.json");
  const text = await succeed("bench", "diffusion", "dit-s", ...quick, "-o", out);
  const result = JSON.parse(readFileSync(out, "utf8")) as DiffusionBenchResult;
  expect(result).toMatchObject({
    kind: "diffusion-throughput",
    resolution: 512,
    paper: { denoise: 19.1, train: 17.9 },
  });
  expect(result.entries.map(({ part, tokens }) => [part, tokens])).toEqual([
    ["denoise", 64],
    ["denoise", 16],
    ["train", 64],
    ["train", 16],
  ]);
  for (const [i, { times, speedup, parameters }] of result.entries.entries()) {
    const first = result.entries[i - (i % 2)];
    expect(speedup).toBeCloseTo((first?.times?.median as number) / (times?.median as number), 10);
    expect(parameters).toBe(i % 2 === 0 ? 33_018_880 : 33_443_584);
  }
  expect(text).toContain("dit-s, training step (forward, backward, AdamW), batch 1");
  expect(text).toMatch(/^dc-ae-f64c128-512 +1 +64 +1\.4\d +[\d.]+ +0 % +\d+ +1\.0x$/m);
  expect(text).toContain("19.1x for a denoising step");
});

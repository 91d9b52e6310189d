/** `dcae bench autoencoder`: measured results; the yardstick alone is 400 billion operations. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, expect, test } from "vitest";
import { succeed } from "./support/cli.js";
import { makeModel, TINY_KL_CONFIG } from "./support/tiny-models.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);

let dcAe: string;
let sdVae: string;
beforeAll(async () => {
  dcAe = await makeModel(folder, "dc-ae");
  sdVae = await makeModel(folder, "sd-vae", TINY_KL_CONFIG);
});

const quick = ["--in-process", "--iterations", "2", "--warmup", "1", "--threads", "1"];

test("a table on stdout, and the result as a file", async () => {
  const out = at("results", "bench.json");
  const text = await succeed("bench", "autoencoder", dcAe, sdVae, "--size", "32,30", ...quick, "-o", out);
  const result = JSON.parse(readFileSync(out, "utf8"));
  expect(result).toMatchObject({ kind: "autoencoder-throughput", formatVersion: 1, iterations: 2, warmup: 1 });
  expect(result.entries).toHaveLength(8);
  // 30 is a multiple of the SD-VAE's compression, 2, but not of the DC-AE's, 4.
  const failed = result.entries.filter((entry: { problem?: string }) => entry.problem !== undefined);
  expect(failed.map(({ model, size }: { model: string; size: number }) => [model, size])).toEqual([
    [dcAe, 30],
    [dcAe, 30],
  ]);
  expect(text).toMatch(/^batch 1, device cpu, dtype float32, threads 1, graph auto$/m);
  expect(text.match(/^\S+dc-ae +encode +32 +[\d.]+ +[\d.]+ +\d+ % +[\d.]+ +\d+ +\d+ % +\d+$/gm)).toHaveLength(1);
  expect(text.match(/failed: /g)).toHaveLength(2);
});

test("--json, with every form of the graph in one run", async () => {
  const argv = [
    "bench",
    "autoencoder",
    dcAe,
    "--size",
    "32",
    "--parts",
    "decode",
    "--optimize",
    "off,on,auto",
    ...quick,
  ];
  const result = JSON.parse(await succeed(...argv, "--json"));
  expect(
    result.entries.map(({ part, optimize }: { part: string; optimize: boolean | string }) => [part, optimize]),
  ).toEqual([
    ["decode", false],
    ["decode", "auto"],
    ["decode", true],
  ]);
  for (const { speedup } of result.entries.slice(1)) expect(speedup).toBeGreaterThan(0);
});

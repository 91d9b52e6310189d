/** `--max-memory`: refusals that say what would do; loading while the model works. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Tensor } from "@dcae/core";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, describe, expect, test } from "vitest";
import { createCliIo } from "../src/cli-io.js";
import type { Item } from "../src/items/items.js";
import { processItems } from "../src/items/process-items.js";
import { parseMemory } from "../src/options/parse-values.js";
import { failWith, succeed } from "./support/cli.js";
import { makePicture } from "./support/pictures.js";
import { makeModel, TINY_KL_CONFIG } from "./support/tiny-models.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);

let m: string;

beforeAll(async () => {
  m = await makeModel(folder, "model");
});

test.each([
  ["4GB", 4e9],
  ["500mb", 5e8],
  ["1.5GiB", 1.5 * 2 ** 30],
  ["100 MiB", 100 * 2 ** 20],
])("%s", (text, bytes) => expect(parseMemory(text)).toBe(bytes));

test.each(["4", "4e9", "GB", "-1GB", "0GB", "4 gigabytes", "1.GB", ""])("refuses the size %j", (text) => {
  expect(() => parseMemory(text)).toThrow(/unit/);
});

test("a picture that doesn't fit is refused, with what would do", async () => {
  const picture = await makePicture(folder, "wide.png", 512, 256);
  const line = await failWith(1, "encode", picture, "-m", m, "--max-memory", "1MB", "-o", at("never.npy"));
  expect(line).toMatch(/wide\.png.*512x256 pixels needs at least \d+ MB/);
  expect(line).toContain("--max-memory");
  expect(existsSync(at("never.npy"))).toBe(false);
});

test("an SD-VAE keeps to a limit too, with the same result", async () => {
  const kl = await makeModel(folder, "kl", TINY_KL_CONFIG);
  const picture = await makePicture(folder, "kl.png", 64);
  await succeed("encode", picture, "-m", kl, "-o", at("kl.npy"));
  await succeed("encode", picture, "-m", kl, "--max-memory", "1GB", "-o", at("kl-limit.npy"));
  expect(readFileSync(at("kl-limit.npy")).equals(readFileSync(at("kl.npy")))).toBe(true);
});

describe("options that contradict are refused", () => {
  const encode = (...flags: string[]) => failWith(2, "encode", at("x.png"), "-o", at("never.npy"), ...flags);

  test("blended tiles", async () => {
    expect(await encode("-m", m, "--tiled", "--max-memory", "1GB")).toMatch(/exclude each other/);
  });
  test("another device", async () => {
    expect(await encode("-m", m, "--device", "webgpu", "--max-memory", "1GB")).toMatch(
      /--max-memory: .* only known for the CPU/,
    );
  });
  test("a size without unit", async () => {
    expect(await encode("-m", m, "--max-memory", "4")).toMatch(/4GB/);
  });
});

test("--program-cache keeps what is computed, with the same result", async () => {
  const cat = await makePicture(folder, "cat.png", 64);
  const flags = ["-m", m, "--optimize"];
  await succeed("encode", cat, ...flags, "-o", at("a.npy"));
  for (const name of ["b.npy", "c.npy"]) {
    await succeed("encode", cat, ...flags, "--program-cache", at("cache"), "-o", at(name));
    expect(readFileSync(at(name)).equals(readFileSync(at("a.npy")))).toBe(true);
  }
  expect(existsSync(at("cache"))).toBe(true);
});

test("the next item is loaded while one is computed", async () => {
  let loaded = () => {};
  const secondLoad = new Promise<void>((resolve) => {
    loaded = resolve;
  });
  const items = [0, 1].map(
    (i): Item => ({
      name: `${i}`,
      fullName: `${i}.png`,
      source: `${i}`,
      path: `${i}.png`,
      async load() {
        if (i === 1) loaded();
        return Tensor.zeros([1, 3, 4, 4]);
      },
    }),
  );
  const io = createCliIo({ stdout: () => {}, stderr: () => {}, isTerminal: false });
  const results = await processItems(items, io, {
    label: "test",
    batchSize: 1,
    async compute({ items: batch, tensor }) {
      // Never resolved if the second item waited for the first result.
      if (batch[0]?.index === 0) await secondLoad;
      return tensor;
    },
    write: async ({ index }) => index,
  });
  expect(results).toEqual([0, 1]);
});

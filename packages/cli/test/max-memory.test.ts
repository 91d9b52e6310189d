/** `--max-memory`: the same results within it, and refusals that say what would do; loading while the model works. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Tensor } from "@dcae/core";
import { readNpyFile, writeNpyFile } from "@dcae/core/checkpoint";
import { beforeAll, describe, expect, test } from "vitest";
import { createCliIo } from "../src/cli-io.js";
import type { Item } from "../src/items/item.js";
import { processItems } from "../src/items/process-items.js";
import { parseMemory } from "../src/options/parse-values.js";
import { cli, failWith, succeed } from "./support/cli.js";
import { makePicture } from "./support/pictures.js";
import { temporaryFolder } from "./support/temporary-folder.js";
import { makeModel, TINY_KL_CONFIG } from "./support/tiny-models.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);

let m: string;
let large: string;

beforeAll(async () => {
  m = await makeModel(folder, "model");
  large = at("large.npy");
  const [height, width] = [2048, 1536];
  const pixels = Float32Array.from({ length: 3 * height * width }, (_, i) => Math.sin(i % 1000));
  await writeNpyFile(large, Tensor.float32(pixels, [1, 3, height, width]));
});

function largestDifference(a: Tensor, b: Tensor): number {
  expect(a.shape).toEqual(b.shape);
  const [x, y] = [a.toFloat32(), b.toFloat32()];
  return x.reduce((most, value, i) => Math.max(most, Math.abs(value - (y[i] as number))), 0);
}

test.each([
  ["4GB", 4e9],
  ["500mb", 5e8],
  ["1.5GiB", 1.5 * 2 ** 30],
  ["100 MiB", 100 * 2 ** 20],
])("%s", (text, bytes) => expect(parseMemory(text)).toBe(bytes));

test.each(["4", "4e9", "GB", "-1GB", "0GB", "4 gigabytes", "1.GB", ""])("refuses the size %j", (text) => {
  expect(() => parseMemory(text)).toThrow(/unit/);
});

describe("a picture that is larger than the limit allows at once", () => {
  test("encodes and decodes to the same", { timeout: 120_000 }, async () => {
    const flags = ["-m", m, "--threads", "1"];
    const limit = await lowestLimit("encode", large);
    await succeed("encode", large, ...flags, "-o", at("whole.npy"));
    await succeed("encode", large, ...flags, "--max-memory", limit, "-o", at("tiled.npy"));
    const [whole, tiled] = [await readNpyFile(at("whole.npy")), await readNpyFile(at("tiled.npy"))];
    expect(largestDifference(tiled, whole)).toBeLessThan(1e-5);

    const decodeLimit = await lowestLimit("decode", at("whole.npy"));
    await succeed("decode", at("whole.npy"), ...flags, "-o", at("picture.npy"));
    await succeed("decode", at("whole.npy"), ...flags, "--max-memory", decodeLimit, "-o", at("tiled-picture.npy"));
    const pictures = [await readNpyFile(at("tiled-picture.npy")), await readNpyFile(at("picture.npy"))] as const;
    expect(largestDifference(...pictures)).toBeLessThan(1e-5);
  });

  /** What the refusal of a tiny limit says would do. */
  async function lowestLimit(command: string, input: string): Promise<string> {
    const line = await failWith(1, command, input, "-m", m, "--max-memory", "1MB", "-o", at("never.npy"));
    expect(line).toContain("--max-memory");
    expect(line).toContain("1536x2048");
    expect(existsSync(at("never.npy"))).toBe(false);
    return `${/at least (\d+) MB/.exec(line)?.[1]}MB`;
  }
});

test("of a folder, only pictures that don't fit are refused, before any work on them", {
  timeout: 60_000,
}, async () => {
  const photos = at("photos");
  mkdirSync(photos);
  await makePicture(photos, "small.png", 32);
  await makePicture(photos, "wall.png", 2048, 2048);
  const out = at("reconstructed");
  const limit = "260MB";
  const { status, stderr } = await cli(["reconstruct", photos, "-m", m, "--max-memory", limit, "-o", out]);
  expect(status).toBe(1);
  expect(stderr).toMatch(/wall\.png.*2048x2048 pixels needs at least \d+ MB/);
  expect(existsSync(join(out, "small-reconstruction.png"))).toBe(true);
  expect(existsSync(join(out, "wall-reconstruction.png"))).toBe(false);
});

describe("options that contradict are refused", () => {
  const encode = (...flags: string[]) => failWith(2, "encode", large, "-o", at("never.npy"), ...flags);

  test("blended tiles", async () => {
    expect(await encode("-m", m, "--tiled", "--max-memory", "1GB")).toMatch(/exclude each other/);
  });
  test("another device", async () => {
    expect(await encode("-m", m, "--device", "webgpu", "--max-memory", "1GB")).toMatch(/memory of webgpu/);
  });
  test("an SD-VAE", async () => {
    const kl = await makeModel(folder, "kl", TINY_KL_CONFIG);
    expect(await encode("-m", kl, "--max-memory", "1GB")).toMatch(/it is for DC-AE/);
  });
  test("a size without unit", async () => {
    expect(await encode("-m", m, "--max-memory", "4")).toMatch(/4GB/);
  });
});

test("--program-cache keeps what is computed, with the same result", { timeout: 60_000 }, async () => {
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

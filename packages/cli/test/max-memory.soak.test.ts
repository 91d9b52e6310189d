/** `--max-memory` with large pictures: the same results. What the process really takes is measured by core's bench/memory.bench.mjs. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { Tensor } from "@dcae/core";
import { readNpyFile, writeNpyFile } from "@dcae/core/checkpoint";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, describe, expect, test } from "vitest";
import { cli, failWith, succeed } from "./support/cli.js";
import { makePicture } from "./support/pictures.js";
import { makeModel } from "./support/tiny-models.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);

function largestDifference(a: Tensor, b: Tensor): number {
  expect(a.shape).toEqual(b.shape);
  const [x, y] = [a.toFloat32(), b.toFloat32()];
  return x.reduce((most, value, i) => Math.max(most, Math.abs(value - (y[i] as number))), 0);
}

let m: string;
let large: string;

beforeAll(async () => {
  m = await makeModel(folder, "model");
  large = at("large.npy");
  const [height, width] = [2048, 1536];
  const pixels = Float32Array.from({ length: 3 * height * width }, (_, i) => Math.sin(i % 1000));
  await writeNpyFile(large, Tensor.float32(pixels, [1, 3, height, width]));
});

describe("a picture that is larger than the limit allows at once", () => {
  test("encodes and decodes to the same", async () => {
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

test("of a folder, only pictures that don't fit are refused, before any work on them", async () => {
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

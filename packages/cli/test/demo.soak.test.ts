/** The whole demo, twice. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { cropImage, decodeImage } from "@dcae/core/image";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { drawScene, SCENE_CLASSES, type SceneClass } from "@dcae/train/scenes";
import { expect, test } from "vitest";
import { succeed } from "./support/cli.js";

const folder = temporaryFolder();

test("demo: every class, encoded and decoded by the bundled model, on one sheet; can be repeated", async () => {
  const out = join(folder, "demo");
  const text = await succeed("demo", "-o", out, "--size", "64x32", "--seed", "3");
  expect(readdirSync(out).sort()).toEqual(["reconstructions.png", "samples.png"]);
  const samples = await decodeImage(join(out, "samples.png"));
  expect([samples.width, samples.height]).toEqual([4 * 258 + 2, 12 * 258 + 2]);
  const sheet = await decodeImage(join(out, "reconstructions.png"));
  // Twelve classes in rows of six, each row of originals above that of reconstructions, two pixels between pictures.
  expect([sheet.width, sheet.height]).toEqual([6 * 66 + 2, 4 * 34 + 2]);
  const first = cropImage(sheet, 2, 2, 64, 32);
  expect(first.data).toEqual(
    drawScene({ width: 64, height: 32, seed: 2n ** 40n + 3n, kind: SCENE_CLASSES[0] as SceneClass }).data,
  );
  for (const kind of SCENE_CLASSES) expect(text).toMatch(new RegExp(`^  ${kind} +PSNR \\d+\\.\\d+ dB$`, "m"));
  expect(text).toContain("6144 numbers to a latent [32, 1, 2]: 64 numbers, and back");
  expect(text).toContain(join(out, "reconstructions.png"));
  const before = readFileSync(join(out, "reconstructions.png"));
  const beforeSamples = readFileSync(join(out, "samples.png"));
  expect(await succeed("demo", "-o", out, "--size", "64x32", "--seed", "3")).toBe(text);
  expect(readFileSync(join(out, "reconstructions.png")).equals(before)).toBe(true);
  expect(readFileSync(join(out, "samples.png")).equals(beforeSamples)).toBe(true);
});

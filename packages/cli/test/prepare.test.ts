/** `dcae prepare`: pictures shrunk for training. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { saveImage } from "@dcae/core";
import { decodeImage, encodeImage, resizeImage } from "@dcae/core/image";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { drawScene } from "@dcae/train/scenes";
import { beforeAll, expect, test } from "vitest";
import { cli, failWith, succeed } from "./support/cli.js";

const folder = temporaryFolder();
const photos = join(folder, "photos");
const large = drawScene({ width: 96, height: 60, seed: 1, kind: "forest" });
const small = drawScene({ width: 20, height: 30, seed: 2, kind: "wall" });

beforeAll(async () => {
  mkdirSync(join(photos, "trees"), { recursive: true });
  await saveImage(large, join(photos, "trees", "a.png"));
  await saveImage(small, join(photos, "b.png"));
});

test("copies have Pillow's pixels at the side that is asked for, small ones their own, in the same subfolders", async () => {
  const out = join(folder, "exact");
  const text = await succeed("prepare", photos, "--side", "40", "--format", "png", "-o", out);
  expect(text).toBe(`${out}: 2 pictures, shorter side at most 40 pixels\n`);
  expect((await decodeImage(join(out, "trees", "a.png"))).data).toEqual(resizeImage(large, 64, 40).data);
  expect((await decodeImage(join(out, "b.png"))).data).toEqual(small.data);
});

test("writes JPEG unless told otherwise, and goes on where it stopped", async () => {
  const out = join(folder, "jpeg");
  const args = ["prepare", photos, "--side", "40", "-o", out, "--json"];
  const whole = { pictures: 2, side: 40, format: "jpeg", failed: [] };
  expect(JSON.parse(await succeed(...args))).toMatchObject({ ...whole, written: 2 });
  expect(readdirSync(join(out, "trees"))).toEqual(["a.jpg"]);
  const { width, height } = await decodeImage(join(out, "trees", "a.jpg"));
  expect([width, height]).toEqual([64, 40]);
  rmSync(join(out, "b.jpg"));
  expect(JSON.parse(await succeed(...args))).toMatchObject({ ...whole, written: 1 });
  expect(readdirSync(out).sort()).toEqual(["b.jpg", "trees"]);
  const other = await failWith(1, "prepare", photos, "--side", "50", "-o", out);
  expect(other).toMatch(/a\.jpg: its shorter side has 40 pixels, a copy would have 50/);
});

test("a picture that can't be read is named, the others are written", async () => {
  const broken = join(folder, "broken");
  mkdirSync(broken);
  writeFileSync(join(broken, "cut.png"), (await encodeImage(large, "png")).subarray(0, 200));
  await saveImage(small, join(broken, "good.png"));
  const out = join(folder, "rest");
  const { status, stderr } = await cli(["prepare", broken, "-o", out]);
  expect(status).toBe(1);
  expect(stderr.trimEnd().split("\n")).toEqual([
    expect.stringContaining(join(broken, "cut.png")),
    "dcae: 1 of 2 pictures could not be used. See above.",
  ]);
  expect(readdirSync(out)).toEqual(["good.jpg"]);
  const again = await cli(["prepare", broken, "-o", out, "--skip-errors", "--json"]);
  expect(again.status).toBe(0);
  expect(JSON.parse(again.stdout)).toMatchObject({
    pictures: 1,
    written: 0,
    failed: [{ source: join(broken, "cut.png") }],
  });
});

test("an input is never replaced, and pictures are written into folders only", async () => {
  expect(await failWith(1, "prepare", photos, "--format", "png", "-o", photos)).toMatch(
    /no pictures|would replace an input/,
  );
  expect(await failWith(2, "prepare", photos, "-o", join(folder, "a.png"))).toContain("doesn't write picture files");
});

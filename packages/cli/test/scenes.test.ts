/** `dcae scenes`: procedural data sets. */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createImage, saveImage } from "@dcae/core";
import { decodeImage } from "@dcae/core/image";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { drawScene, SCENE_CLASSES } from "@dcae/train/scenes";
import { expect, test } from "vitest";
import { failWith, succeed } from "./support/cli.js";

const folder = temporaryFolder();

test("one folder per class, every picture from its own seed", async () => {
  const out = join(folder, "all");
  const text = await succeed("scenes", "-o", out, "--count", "2", "--size", "32x24", "--seed", "7");
  expect(text).toBe(`${out}: 24 pictures of 12 classes, 32x24\n`);
  expect(readdirSync(out).sort()).toEqual([...SCENE_CLASSES].sort());
  expect(readdirSync(join(out, "still-life"))).toEqual(["still-life-00000007.png", "still-life-00000008.png"]);
  const one = join(folder, "one");
  const text1 = await succeed("scenes", "-o", one, "--classes", "wall", "--count", "1", "--size", "16");
  expect(text1).toBe(`${one}: 1 picture of 1 class, 16x16\n`);
  const { data } = await decodeImage(join(out, "still-life", "still-life-00000008.png"));
  expect(data).toEqual(drawScene({ width: 32, height: 24, seed: 8, kind: "still-life" }).data);
});

test("goes on where it stopped, and leaves what is there", async () => {
  const out = join(folder, "resumed");
  const args = ["scenes", "-o", out, "--classes", "wall,page", "--count", "3", "--size", "16", "--json"];
  expect(JSON.parse(await succeed(...args))).toMatchObject({ pictures: 6, drawn: 6, width: 16, height: 16 });
  const [kept, missing] = ["wall/wall-00000000.png", "page/page-00000002.png"].map((name) => join(out, name)) as [
    string,
    string,
  ];
  const before = readFileSync(missing);
  rmSync(missing);
  await saveImage(createImage(16, 16, [1, 2, 3]), kept);
  expect(JSON.parse(await succeed(...args))).toMatchObject({ pictures: 6, drawn: 1 });
  expect(readFileSync(missing).equals(before)).toBe(true);
  expect([...(await decodeImage(kept)).data.subarray(0, 3)]).toEqual([1, 2, 3]);
});

test("what is there must have the size that is asked for, and be a picture", async () => {
  const out = join(folder, "sizes");
  await succeed("scenes", "-o", out, "--classes", "wall", "--count", "2", "--size", "16");
  const args = ["scenes", "-o", out, "--classes", "page,wall", "--count", "2"];
  expect(await failWith(1, ...args, "--size", "24")).toContain("wall-00000000.png: is 16x16, not 24x24");
  expect(existsSync(join(out, "page"))).toBe(false);
  writeFileSync(join(out, "wall", "wall-00000001.png"), "mine");
  expect(await failWith(1, ...args, "--size", "16")).toContain("wall-00000001.png: isn't a PNG file");
});

test("bad options are one line", async () => {
  expect(await failWith(2, "scenes", "-o", folder, "--classes", "wall,wallpaper")).toContain("--classes");
  expect(await failWith(2, "scenes", "-o", join(folder, "a.png"))).toContain("doesn't write picture files");
});

/** Pictures that are too small: left out of every kind of source, counted and named; epochs and shares are those of the rest. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createImage } from "@dcae/core";
import { encodeImage } from "@dcae/core/image";
import { tarArchive, tarMember } from "@dcae/test-support/tar";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, expect, test } from "vitest";
import { describeSmall } from "../../src/data/large-enough.js";
import { createPictureLoader, type LoaderPosition } from "../../src/data/picture-loader.js";
import { inspectTraining } from "../../src/trainer/inspect-training.js";
import { minSideOf, openBatches, openSources } from "../../src/trainer/open-data.js";
import { TINY_PHASES, tinyTraining } from "../support/tiny-training.js";
import { zipArchive } from "../support/zip.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const picture = (width: number, height: number, red = 0) => encodeImage(createImage(width, height, [red, 0, 0]), "png");

beforeAll(async () => {
  await mkdir(at("flat"));
  const pnm = new Uint8Array([...new TextEncoder().encode("P6 15 40 255\n"), ...new Uint8Array(3 * 15 * 40)]);
  const files = {
    "a.png": await picture(16, 16, 10),
    "b.png": await picture(40, 15, 20),
    "c.jpg": await encodeImage(createImage(17, 90, [30, 0, 0]), "jpeg"),
    "d.png": (await picture(20, 20)).subarray(0, 20),
    "e.ppm": pnm,
  };
  for (const [name, bytes] of Object.entries(files)) await writeFile(at("flat", name), bytes);
  const members = [tarMember("x.png", await picture(8, 99)), tarMember("y.png", await picture(16, 30, 50))];
  await writeFile(at("some.tar"), tarArchive(...members));
  const stored = { "p.png": await picture(15, 16), "q.png": await picture(16, 16, 60) };
  await writeFile(at("some.zip"), zipArchive(...Object.entries(stored).map(([name, content]) => ({ name, content }))));
  await mkdir(at("tiny"));
  await writeFile(at("tiny", "t.png"), await picture(4, 4));
});

const sources = () => [
  { kind: "folder" as const, path: at("flat") },
  { kind: "shards" as const, path: at("some.tar") },
  { kind: "shards" as const, path: at("some.zip") },
];

test("are left out of folders, tar and zip shards, with their number and names", async () => {
  const said: string[] = [];
  const opened = await openSources(sources(), (text) => said.push(text), 16);
  // The damaged one stays: it is the loader that names it.
  expect(opened.map(({ source }) => source.count)).toEqual([3, 1, 1]);
  expect(said).toEqual([
    `${at("flat")}: left out 2 pictures with a side below 16 pixels: ${at("flat", "b.png")}, ${at("flat", "e.ppm")}`,
    `${at("some.tar")}: left out 1 picture with a side below 16 pixels: ${at("some.tar")}: x.png`,
    `${at("some.zip")}: left out 1 picture with a side below 16 pixels: ${at("some.zip")}: p.png`,
  ]);
  const whole = await openSources(sources());
  expect(whole.map(({ source }) => source.count)).toEqual([5, 2, 2]);
  const loader = createPictureLoader({ sources: opened, batch: 8, size: 16, seed: 1, workers: 0 });
  const seen = new Set<number>();
  for (let i = 0; i < 3; i++) {
    const { images } = await loader.next();
    for (let n = 0; n < 8; n++) seen.add(Math.round(((images.row(n).toFloat32()[0] as number) + 1) * 12.75) * 10);
  }
  await loader.close();
  expect([...seen].sort((a, b) => a - b)).toEqual([10, 30, 50, 60]);
});

test("a position in other sizes is refused, and one that leaves nothing out is the same", async () => {
  const [all, none, some] = await Promise.all(
    [undefined, 1, 16].map((side) => openSources(sources(), undefined, side)),
  );
  const prints = (opened: typeof all) => opened!.map(({ source }) => source.fingerprint);
  expect(prints(none)).toEqual(prints(all));
  for (const [i, print] of prints(some).entries()) expect(print).not.toBe(prints(all)[i]);
  const loader = createPictureLoader({ sources: all!, batch: 1, size: 16, seed: 1, workers: 0 });
  const { position } = await loader.next();
  await loader.close();
  const other = { sources: some!, batch: 1, size: 16, seed: 1, workers: 0 };
  expect(() => createPictureLoader(other, position as LoaderPosition)).toThrow(/changed since/);
});

test("a source without any other is refused; scenes are drawn as large as wanted", async () => {
  await expect(openSources([{ kind: "folder", path: at("tiny") }], undefined, 16)).rejects.toThrow(
    `${at("tiny")}: none of its 1 picture has both sides of 16 pixels or more`,
  );
  const [scenes] = await openSources([{ kind: "scenes", seed: 0, count: 7 }], undefined, 4096);
  expect(scenes!.source.count).toBe(7);
});

test("trainings take the limit from their data, or from the phase's size", async () => {
  const sizes = [
    { size: 64, share: 1 },
    { size: 96, share: 1 },
  ];
  expect([minSideOf({ minSide: "size" }, { size: 64 }), minSideOf({ minSide: "size" }, { size: 64, sizes })]).toEqual([
    64, 96,
  ]);
  expect([minSideOf({ minSide: 20 }, { size: 64 }), minSideOf({}, { size: 64 })]).toEqual([20, undefined]);
  const data = { sources: sources(), workers: 0, minSide: "size" as const };
  const config = tinyTraining([TINY_PHASES.one], { data });
  const said: string[] = [];
  const batches = await openBatches(config.data, config.phases[0]!, 0, undefined, (text) => said.push(text));
  await batches.next();
  await batches.close();
  expect(said.filter((text) => text.includes("left out")).length).toBe(3);
  const { found } = await inspectTraining(config);
  expect(found.filter((text) => text.includes("below 16 pixels")).length).toBe(6);
  expect(found).toContainEqual(expect.stringContaining("data: 5 pictures"));
  expect(() => tinyTraining([TINY_PHASES.one], { data: { ...data, minSide: 0.5 } })).toThrow(
    'data.minSide: must be a number of pixels, or "size"',
  );
});

test("long lists are cut", () => {
  const names = Array.from({ length: 1205 }, (_, i) => `${i}.png`);
  expect(describeSmall(names, 8)).toBe(
    "left out 1,205 pictures with a side below 8 pixels: 0.png, 1.png, 2.png, 3.png, 4.png and 1,200 more",
  );
});

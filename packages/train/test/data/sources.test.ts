/** Sources as configurations name them: folders, shards and scenes together, their shares, and what is wrong in them. */
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createImage } from "@dcae/core";
import { encodeImage } from "@dcae/core/image";
import { tarArchive, tarMember } from "@dcae/test-support/tar";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { beforeAll, describe, expect, test } from "vitest";
import { createPictureLoader } from "../../src/data/picture-loader.js";
import { makePicture } from "../../src/data/picture-recipe.js";
import { fileSource } from "../../src/data/picture-source.js";
import { shardSource } from "../../src/data/shard-source.js";
import { detectSource, openSources } from "../../src/trainer/open-data.js";
import { zipArchive } from "../support/zip.js";

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
/** One color per source, to tell them apart in a batch. */
const colored = (red: number) => encodeImage(createImage(12, 12, [red, 0, 0]), "png");

beforeAll(async () => {
  await mkdir(at("flat"));
  for (let i = 0; i < 3; i++) await writeFile(at("flat", `${i}.PNG`), await colored(50));
  await mkdir(at("shards"));
  const picture = await colored(100);
  const members = [
    tarMember("a/0.png", picture),
    tarMember("a/0.txt", "caption"),
    tarMember("a/1.png", picture.subarray(0, 30)),
    tarMember("a/2.txt", "no picture at all"),
    tarMember("a/3.png", picture),
  ];
  await writeFile(at("shards", "0.tar"), tarArchive(...members));
  await writeFile(at("shards", "1.TAR"), tarArchive(tarMember("b/0.webp", await colored(100))));
});

const loader = (sources: Awaited<ReturnType<typeof openSources>>, more = {}) =>
  createPictureLoader({ sources, batch: 8, size: 8, seed: 3, workers: 0, ...more });

/** Red values of the pictures of `batches` batches, rounded to tens. */
async function reds(sources: Parameters<typeof loader>[0], batches: number): Promise<number[]> {
  const from = loader(sources);
  const values: number[] = [];
  for (let i = 0; i < batches; i++) {
    const { images } = await from.next();
    for (let row = 0; row < 8; row++) {
      values.push(Math.round(((Number(images.row(row).toFloat32()[0]) + 1) * 127.5) / 10) * 10);
    }
  }
  return values;
}

test("folders and shards mix by their number of pictures, or by their shares", async () => {
  const [flat, shards] = [
    { kind: "folder" as const, path: at("flat") },
    { kind: "shards" as const, path: at("shards") },
  ];
  const share = (values: readonly number[]) => values.filter((value) => value === 50).length / values.length;
  const byCount = await openSources([flat, shards]);
  expect(byCount.map(({ source: { count }, weight }) => [count, weight])).toEqual([
    [3, undefined],
    [5, undefined],
  ]);
  expect(new Set(await reds(byCount, 4))).toEqual(new Set([50, 100]));
  const weighted = [
    { ...flat, weight: 9 },
    { ...shards, weight: 1 },
  ];
  expect(share(await reds(await openSources(weighted), 12))).toBeGreaterThan(0.8);
  const one = [
    { ...flat, weight: 1 },
    { ...shards, weight: 0 },
  ];
  expect(share(await reds(await openSources(one), 2))).toBe(1);
});

test("members that can't be decoded, and samples without a picture, are named, counted and passed over", async () => {
  const source = await shardSource(at("shards"));
  expect(source.count).toBe(5);
  const named: string[] = [];
  const onCorrupt = (name: string, problem: string) => named.push(`${name} | ${problem}`);
  const { position } = await loader([{ source }], { onCorrupt, shuffle: false }).next();
  expect(position.corrupt).toEqual([
    [0, 1],
    [0, 2],
  ]);
  expect(named[0]).toMatch(/0\.tar: a\/1\.png \| .*a\/1\.png/);
  expect(named[1]).toMatch(/\| .*0\.tar: the sample "a\/2" has no picture/);
  await expect(loader([{ source }], { maxCorrupt: 1 }).next()).rejects.toThrow(
    /2 pictures can't be read; the last one/,
  );
});

describe("members of shards", () => {
  const read = (name: string) => shardSource(at(name));
  const names = async (source: Awaited<ReturnType<typeof read>>) =>
    Promise.all(Array.from({ length: source.count }, async (_, i) => Object(await source.recipe(i)).name));

  test("hidden ones and those of macOS are no samples", async () => {
    const picture = await colored(100);
    const members = ["a/._0.png", "a/0.png", "__MACOSX/a/._0.png", ".thumb/0.png", "a/.1.png", "a/1.png", "README"];
    await writeFile(at("macos.tar"), tarArchive(...members.map((name) => tarMember(name, picture))));
    const source = await read("macos.tar");
    expect(await names(source)).toEqual(["a/0.png", "a/1.png"]);
    expect(Object.fromEntries(source.leftOut!)).toEqual({ "macOS metadata": 2, hidden: 2, "without ending": 1 });
    const messages: string[] = [];
    await openSources([{ kind: "shards", path: at("macos.tar") }], (text) => messages.push(text));
    expect(messages).toEqual([`${at("macos.tar")}: left out 2 hidden, 2 macOS metadata, 1 without ending`]);
  });

  test("a sample is what shares its name up to the first dot; its picture has the shortest extension", async () => {
    const picture = await colored(100);
    const members = ["0000.seg.png", "0000.png", "0000.json", "0001.seg.png", "0001.jpg", "v1.2/a.final.png"];
    await writeFile(at("multi.tar"), tarArchive(...members.map((name) => tarMember(name, picture))));
    expect(await names(await read("multi.tar"))).toEqual(["0000.png", "0001.jpg", "v1.2/a.final.png"]);
  });

  test("a sample whose picture can't be told is refused", async () => {
    const members = ["frame.1.png", "frame.2.png"].map((name) => tarMember(name, "x"));
    await writeFile(at("frames.tar"), tarArchive(...members));
    await expect((await read("frames.tar")).recipe(0)).rejects.toThrow(
      /which picture of the sample "frame" is meant\? It has frame\.1\.png, frame\.2\.png/,
    );
  });
});

describe("compressed members", () => {
  const view = { size: 8, corner: null, flip: false };

  test("are pictures, of the size that the archive announces and within bounds", async () => {
    const picture = await colored(100);
    const noise = Uint8Array.from({ length: 2 ** 20 }, (_, i) => (7 * i) % 251);
    await writeFile(
      at("members.zip"),
      zipArchive(
        { name: "good.png", content: picture },
        // Cut off: inflating it to its end would fail otherwise.
        { name: "noise.jpg", content: noise, cut: 20 },
        { name: "more.png", content: picture, size: picture.length - 1 },
        { name: "less.png", content: picture, size: picture.length + 1 },
        { name: "cut.png", content: picture, cut: 4 },
        { name: "__MACOSX/._good.png", content: noise },
      ),
    );
    const source = await shardSource(at("members.zip"));
    expect([source.count, Object.fromEntries(source.leftOut!)]).toEqual([5, { "macOS metadata": 1 }]);
    const make = async (i: number) => makePicture(await source.recipe(i), view);
    expect((await make(0)).data[0]).toBe(100);
    const size = picture.length;
    const problems = [
      /members\.zip: noise\.jpg: isn't a picture of a kind that is read/,
      new RegExp(`more\\.png: has more than the ${size - 1} bytes that the archive announced`),
      new RegExp(`less\\.png: has ${size} bytes, the archive announced ${size + 1}`),
      /cut\.png: can't be decompressed: unexpected end of file/,
    ];
    const huge = { ...Object(await source.recipe(0)), size: 2 ** 29 };
    await expect(makePicture(huge, view)).rejects.toThrow(
      /members\.zip: good\.png: would inflate to 536870912 bytes, the limit is 268435456/,
    );
    for (const [i, problem] of problems.entries()) await expect(make(i + 1)).rejects.toThrow(problem);
  });
});

test("of a folder, links are followed and hidden folders left out", async () => {
  await mkdir(at("linked", ".ipynb_checkpoints"), { recursive: true });
  await writeFile(at("linked", ".ipynb_checkpoints", "0.png"), await colored(1));
  await symlink(at("flat"), at("linked", "class"));
  const source = await fileSource(at("linked"));
  expect([source.count, Object.fromEntries(source.leftOut!)]).toEqual([3, { hidden: 1 }]);
});

describe("shares that mean nothing are refused", () => {
  const flat = { kind: "folder" as const, path: at("flat") };

  test("some sources with a weight, some without", async () => {
    await expect(openSources([{ ...flat, weight: 1 }, flat])).rejects.toThrow(/some sources have a weight and others/);
  });

  test("scenes beside pictures without one", async () => {
    await expect(openSources([flat, { kind: "scenes", seed: 0 }])).rejects.toThrow(/weight/);
  });
});

test("what a path holds is told by names", async () => {
  expect(await detectSource(at("flat"))).toBe("folder");
  expect(await detectSource(at("shards"))).toBe("shards");
  expect(await detectSource(at("shards", "1.TAR"))).toBe("shards");
  await writeFile(at("index.json"), "{}");
  expect(await detectSource(at("index.json"))).toBe("shards");
  await expect(detectSource(at("flat", "0.PNG"))).rejects.toThrow(/neither a folder of pictures/);
  await expect(detectSource(at("absent"))).rejects.toThrow(/absent: can't read: no such file/);
  await mkdir(at("both"));
  for (const name of ["a.zip", "b.jpg"]) await writeFile(at("both", name), "");
  await expect(detectSource(at("both"))).rejects.toThrow(/both pictures and archives/);
});

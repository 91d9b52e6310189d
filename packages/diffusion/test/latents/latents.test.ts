import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { ConfigError, DataError } from "@dcae/core";
import { decodeNpy, encodeNpy, openSafetensorsFile } from "@dcae/core/checkpoint";
import { createRandom, Tensor } from "@dcae/core/graph";
import { tarArchive, tarMember } from "@dcae/test-support/tar";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { afterEach, describe, expect, it } from "vitest";
import type { LatentDataset } from "../../src/latents/latent-dataset.js";
import { LATENT_LAYOUTS, type LatentItem, type LatentManifest } from "../../src/latents/latent-manifest.js";
import { openLatents as open, writeLatentStatistics } from "../../src/latents/open-latents.node.js";
import { skippedPictures } from "../../src/latents/skipped-pictures.node.js";
import { type EncodeItems, type UnitProgress, writeUnits } from "../../src/latents/write-units.node.js";

const root = temporaryFolder();
let folders = 0;
const fresh = () => join(root, `latents-${folders++}`);

const opened: LatentDataset[] = [];
afterEach(async () => {
  for (const dataset of opened.splice(0)) await dataset.close();
});
async function openLatents(folder: string): Promise<LatentDataset> {
  const dataset = await open(folder);
  opened.push(dataset);
  return dataset;
}

const manifest = (changes: Partial<LatentManifest> = {}): LatentManifest => ({
  layout: "shards",
  shape: [3, 2, 2],
  dtype: "float32",
  classes: ["cat", "dog", "empty"],
  pictures: ["cat/a", "cat/b", "cat/deep/c", "dog/d", "dog/e"],
  mirrored: false,
  shardSize: 2,
  source: "test",
  scalingFactor: 0.5,
  ...{ shiftFactor: 0, files: null, decoding: null, seed: null, weights: null },
  ...changes,
});

/** What a picture's latent is: random numbers that follow from its name. */
function latentOf({ picture, mirrored }: Pick<LatentItem, "picture" | "mirrored">): Float32Array {
  return createRandom(1, `${picture} ${mirrored}`).normal(new Float32Array(12), 0.3, 2);
}
const encode: EncodeItems = async (items) =>
  Tensor.float32(
    items.flatMap((item) => [...latentOf(item)]),
    [items.length, 3, 2, 2],
  );

async function written(changes: Partial<LatentManifest> = {}): Promise<string> {
  const folder = fresh();
  await writeUnits(folder, manifest(changes), encode);
  return folder;
}

describe.each(LATENT_LAYOUTS)("the %s layout", (layout) => {
  it("gives back latents and labels in any order, with the statistics of all", async () => {
    const folder = await written({ layout });
    const dataset = await openLatents(folder);
    expect(dataset).toMatchObject({
      layout,
      length: 5,
      shape: [3, 2, 2],
      classes: ["cat", "dog", "empty"],
      source: "test",
      scalingFactor: 0.5,
    });
    const { latents, labels } = await dataset.read([4, 0, 2]);
    expect([...labels.data]).toEqual([1, 0, 0]);
    const expected = ["dog/e", "cat/a", "cat/deep/c"].flatMap((picture) => [...latentOf({ picture, mirrored: false })]);
    expect([...latents.data]).toEqual(expected);

    const all = (await dataset.read([0, 1, 2, 3, 4])).latents.data as Float32Array;
    const mean = all.reduce((sum, value) => sum + value, 0) / all.length;
    const square = all.reduce((sum, value) => sum + value * value, 0) / all.length;
    const statistics = await writeLatentStatistics(dataset);
    expect(statistics.count).toBe(5);
    expect(statistics.mean).toBeCloseTo(mean, 10);
    expect(statistics.std).toBeCloseTo(Math.sqrt(((square - mean * mean) * all.length) / (all.length - 1)), 10);
    expect(statistics.rms).toBeCloseTo(Math.sqrt(square), 10);
    expect(statistics.channelMean).toHaveLength(3);
    const channel = [...all].filter((_, i) => Math.floor(i / 4) % 3 === 1);
    expect(statistics.channelMean[1]).toBeCloseTo(channel.reduce((sum, value) => sum + value, 0) / channel.length, 10);
    expect(JSON.parse(readFileSync(join(folder, "statistics.json"), "utf8"))).toEqual(statistics);
  });

  it("goes on after a stop, and only writes what is missing or damaged", async () => {
    const folder = fresh();
    const controller = new AbortController();
    const stopping: EncodeItems = async (items) => {
      if (items[0]!.picture === "cat/deep/c") controller.abort(new Error("killed"));
      return encode(items);
    };
    const interrupted = writeUnits(folder, manifest({ layout }), stopping, {
      batchSize: 1,
      signal: controller.signal,
    });
    await expect(interrupted).rejects.toThrow("killed");
    await expect(openLatents(folder)).rejects.toThrow(DataError);

    const progress: UnitProgress[] = [];
    const options = { onProgress: (step: UnitProgress) => void progress.push(step) };
    await writeUnits(folder, manifest({ layout }), encode, options);
    expect(progress.map(({ skipped }) => skipped)).toEqual([true, false, false]);
    expect((await openLatents(folder)).length).toBe(5);
    expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);

    await writeUnits(folder, manifest({ layout }), () => Promise.reject(new Error("must not encode")));
  });

  it("is written by several processes, unit by unit", async () => {
    const folder = fresh();
    for (const index of [2, 0, 1])
      await writeUnits(folder, manifest({ layout }), encode, { part: { index, count: 3 } });
    const whole = await (await openLatents(await written({ layout }))).read([0, 1, 2, 3, 4]);
    const parts = await (await openLatents(folder)).read([0, 1, 2, 3, 4]);
    expect(parts.latents.data).toEqual(whole.latents.data);
    const half = fresh();
    await writeUnits(half, manifest({ layout }), encode, { part: { index: 1, count: 3 } });
    await expect(openLatents(half)).rejects.toThrow(
      layout === "npy" ? /cat\/a\.npy/ : /latents-000000\.(safetensors|tar)/,
    );
  });

  it("keeps mirrored pictures beside the others, and half floats", async () => {
    const dataset = await openLatents(await written({ layout, mirrored: true, dtype: "float16" }));
    expect(dataset.length).toBe(10);
    const { latents, labels } = await dataset.read([3, 7]);
    expect([...labels.data]).toEqual([0, 1]);
    const expected = ["cat/b", "dog/d"].map((picture) =>
      Tensor.float32(latentOf({ picture, mirrored: true }))
        .cast("float16")
        .toFloat32(),
    );
    expect([...latents.data]).toEqual(expected.flatMap((values) => [...values]));
  });

  it("leaves out pictures where it may, and takes them in when they can be read again", async () => {
    const folder = fresh();
    const bad = new Set(["cat/b", "dog/d", "dog/e"]);
    const lacking: EncodeItems = async (items) => {
      const skipped = new Map(items.flatMap(({ picture }) => (bad.has(picture) ? [[picture, "broken"] as const] : [])));
      const present = items.filter(({ picture }) => !bad.has(picture));
      const values = present.flatMap((item) => [...latentOf(item)]);
      return { latents: Tensor.float32(values, [present.length, 3, 2, 2]), skipped };
    };
    // Units of 3: both copies of a picture, and of the next one a copy. The fourth unit is empty.
    const about = manifest({ layout, mirrored: true, shardSize: 3 });
    await expect(writeUnits(folder, about, lacking)).rejects.toThrow(/cat\/b was left out: broken/);
    await writeUnits(folder, about, lacking, { skipErrors: true, batchSize: 1 });
    expect(await skippedPictures(folder, about)).toEqual(new Map([...bad].map((picture) => [picture, "broken"])));
    const dataset = await openLatents(folder);
    expect(dataset.length).toBe(4);
    const { latents, labels } = await dataset.read([3, 2, 1, 0]);
    expect([...labels.data]).toEqual([0, 0, 0, 0]);
    const expected = ["cat/deep/c", "cat/a"].flatMap((picture) =>
      [true, false].flatMap((mirrored) => [...latentOf({ picture, mirrored })]),
    );
    expect([...latents.data]).toEqual(expected);
    expect((await dataset.statistics()).count).toBe(4);
    await expect(dataset.read([4])).rejects.toThrow(/has no latent 4, only 4/);

    const never = () => Promise.reject(new Error("must not encode"));
    await writeUnits(folder, about, never, { skipErrors: true });
    await expect(writeUnits(folder, about, never)).rejects.toThrow("must not encode");
    await writeUnits(folder, about, encode);
    expect(await skippedPictures(folder, about)).toEqual(new Map());
    expect(readdirSync(folder).filter((name) => name.startsWith("skipped"))).toEqual([]);
    const whole = await openLatents(folder);
    const all = Array.from({ length: 10 }, (_, i) => i);
    const other = await openLatents(await written({ layout, mirrored: true }));
    expect((await whole.read(all)).latents.data).toEqual((await other.read(all)).latents.data);
  });

  it("refuses another set of pictures in the same folder", async () => {
    const folder = await written({ layout });
    const other = manifest({ layout, pictures: ["cat/z"] });
    await expect(writeUnits(folder, other, encode)).rejects.toThrow(ConfigError);
    await expect(writeUnits(folder, other, encode)).rejects.toThrow(/latents\.json: describes other latents/);
  });
});

describe("a bad folder is refused with the file named", () => {
  const file = (folder: string, layout: LatentManifest["layout"]) =>
    join(folder, { npy: "cat/b.npy", shards: "latents-000001.safetensors", tar: "latents-000001.tar" }[layout]);

  it.each(LATENT_LAYOUTS)("%s: missing", async (layout) => {
    const folder = await written({ layout });
    const path = file(folder, layout);
    rmSync(path);
    await expect(openLatents(folder)).rejects.toThrow(DataError);
    await expect(openLatents(folder)).rejects.toThrow(path);
  });

  it.each(LATENT_LAYOUTS)("%s: cut off", async (layout) => {
    const folder = await written({ layout });
    const path = file(folder, layout);
    // An archive is whole without the empty blocks that end it and the last one's zeros.
    truncateSync(path, statSync(path).size - (layout === "tar" ? 1600 : 4));
    await expect(openLatents(folder)).rejects.toThrow(DataError);
    await expect(openLatents(folder)).rejects.toThrow(path);
  });

  it.each(LATENT_LAYOUTS)("%s: another shape", async (layout) => {
    const folder = await written({ layout });
    const other = await written({ layout, pictures: manifest().pictures, shape: [3, 2, 2] });
    const path = file(folder, layout);
    if (layout === "npy") {
      writeFileSync(path, encodeNpy(Tensor.zeros([3, 2, 3])));
    } else {
      writeFileSync(path, readFileSync(file(other, layout).replace("000001", "000002")));
    }
    await expect(openLatents(folder)).rejects.toThrow(DataError);
    await expect(openLatents(folder)).rejects.toThrow(path);
  });

  it("npy: another order of axes of the same size, when it is read", async () => {
    const folder = await written({ layout: "npy", shape: [3, 2, 2] });
    const path = join(folder, "cat/b.npy");
    writeFileSync(path, encodeNpy(Tensor.zeros([2, 2, 3])));
    const dataset = await openLatents(folder);
    await expect(dataset.read([1])).rejects.toThrow(/cat\/b\.npy: is float32 \[2, 2, 3\], not a latent \[3, 2, 2\]/);
  });

  it.each([
    ["no JSON", "{", /isn't valid JSON/],
    ["nested without end", `{"a":${"[".repeat(2e5)}${"]".repeat(2e5)}}`, /nested deeper than 100 levels/],
    ["with a key twice", '{"format":"dcae-latents","format":"other"}', /has the key "format" twice/],
    ["of another program", '{"format":"other"}', /isn't a description of latents/],
    [
      "with names outside",
      JSON.stringify({ format: "dcae-latents", version: 1, ...manifest(), pictures: ["cat/../../x"] }),
      /names in the folder/,
    ],
    [
      "with a picture of no class",
      JSON.stringify({ format: "dcae-latents", version: 1, ...manifest(), pictures: ["cow/x"] }),
      /in no class/,
    ],
    [
      "with an endless shape",
      JSON.stringify({ format: "dcae-latents", version: 1, ...manifest(), shape: [1e9, 1e9, 1] }),
      /shape is/,
    ],
  ])("a description %s", async (_, text, message) => {
    const folder = fresh();
    mkdirSync(folder);
    writeFileSync(join(folder, "latents.json"), text);
    await expect(openLatents(folder)).rejects.toThrow(message);
    await expect(openLatents(folder)).rejects.toThrow(join(folder, "latents.json"));
  });

  it.each([
    ["no JSON", "{", /isn't valid JSON/],
    ["nothing", "null", /isn't a list of pictures that were left out/],
    ["no reasons", '{"pictures":{"cat/a":1}}', /isn't a list of pictures/],
    ["a picture of another part", '{"pictures":{"dog/e":"broken"}}', /names "dog\/e", which isn't in this part/],
  ])("a list of pictures that were left out with %s", async (_, text, message) => {
    const folder = await written();
    writeFileSync(join(folder, "skipped-000000.json"), text);
    await expect(openLatents(folder)).rejects.toThrow(message);
    await expect(openLatents(folder)).rejects.toThrow(join(folder, "skipped-000000.json"));
    // What can't be trusted is written again.
    await writeUnits(folder, manifest(), encode, { skipErrors: true });
    expect((await openLatents(folder)).length).toBe(5);
  });

  it("files that were replaced after their latents were made; repaired ones are noted anew", async () => {
    const files = (time: number, changes: Readonly<Record<number, string | null>> = {}) =>
      manifest().pictures.map((_, i) => (i in changes ? (changes[i] as string | null) : `${100 + i} ${time}`));
    for (const mirrored of [false, true]) {
      for (const layout of LATENT_LAYOUTS) {
        const folder = fresh();
        // Three latents in a part: with mirror images, a picture's two are in different ones.
        const about = (noted: (string | null)[]) => manifest({ layout, mirrored, shardSize: 3, files: noted });
        const untilDog: EncodeItems = async (items) => {
          if (items.some(({ picture }) => picture === "dog/d")) throw new DataError("dog/d.png: can't be decoded");
          return encode(items);
        };
        await expect(writeUnits(folder, about(files(1, { 4: null })), untilDog)).rejects.toThrow(/dog\/d/);
        const refused = writeUnits(folder, about(files(1, { 0: "7 7" })), encode);
        await expect(refused).rejects.toThrow(/latents \(the picture "cat\/a" was replaced: 100 bytes/);
        const repaired = about(files(1, { 3: "7 7" }));
        await writeUnits(folder, repaired, encode);
        await writeUnits(folder, repaired, encode);
        expect((await openLatents(folder)).length).toBe(mirrored ? 10 : 5);
        const again = writeUnits(folder, about(files(1)), encode);
        await expect(again).rejects.toThrow(/the picture "dog\/d" was replaced: 7 bytes/);
        await expect(writeUnits(folder, about(files(1, { 3: "7 7", 4: null })), encode)).rejects.toThrow(/no file now/);
      }
    }
  });

  it("pictures that were decoded in another way, or nobody knows how", async () => {
    const decoded = (decoding: string | null) => manifest({ decoding });
    const folder = fresh();
    await writeUnits(folder, decoded("pillow"), encode);
    const other = writeUnits(folder, decoded("as a viewer"), encode);
    await expect(other).rejects.toThrow(/decoding of pictures: "pillow" there, "as a viewer" now/);
    const earlier = fresh();
    await writeUnits(earlier, decoded(null), encode);
    // Nothing is added.
    await writeUnits(earlier, decoded("pillow"), encode);
    rmSync(join(earlier, "latents-000001.safetensors"));
    await expect(writeUnits(earlier, decoded("pillow"), encode)).rejects.toThrow(/decoding of pictures: of an earlier/);
    await writeUnits(earlier, decoded(null), encode);
  });

  it("what encode gives is checked before it is written", async () => {
    const wrong: EncodeItems = async () => Tensor.zeros([2, 3, 2, 3]);
    await expect(writeUnits(fresh(), manifest(), wrong)).rejects.toThrow(/encode gave \[2, 3, 2, 3\]/);
    const folder = fresh();
    const infinite: EncodeItems = async () => Tensor.full([2, 3, 2, 2], Number.NaN);
    await expect(writeUnits(folder, manifest(), infinite)).rejects.toThrow(/cat\/a isn't finite/);
    expect(existsSync(join(folder, "latents-000000.safetensors"))).toBe(false);
  });
});

describe("archives for WebDataset", () => {
  const array = (values: Tensor) => encodeNpy(values);
  const sample = (key: string, latent: Tensor, label: string) => [
    tarMember(`${key}.npy`, array(latent)),
    tarMember(`${key}.cls`, label),
  ];

  it("have a numbered array and its class for each latent, as any reader of tar files sees them", async () => {
    const folder = await written({ layout: "tar", dtype: "float16" });
    const listed = execFileSync("tar", ["-tf", join(folder, "latents-000001.tar")], { encoding: "utf8" });
    expect(listed).toBe("000000002.npy\n000000002.cls\n000000003.npy\n000000003.cls\n");
    const member = (name: string) => execFileSync("tar", ["-xOf", join(folder, "latents-000001.tar"), name]);
    expect(member("000000003.cls").toString()).toBe("1");
    const expected = Tensor.float32(latentOf({ picture: "dog/d", mirrored: false }), [3, 2, 2]).cast("float16");
    expect(decodeNpy(member("000000003.npy"))).toEqual(expected);
    const again = await written({ layout: "tar", dtype: "float16" });
    const bytes = (from: string) => readFileSync(join(from, "latents-000001.tar"));
    expect(bytes(again).equals(bytes(folder))).toBe(true);
  });

  it("of others are read without a description: their classes are numbers", async () => {
    const folder = fresh();
    mkdirSync(folder);
    const tensors = [0, 1, 2].map((value) => Tensor.full([2, 1, 1], value));
    const first = [
      ...sample("a/0", tensors[0]!, "2"),
      tarMember("a/0.json", "{}"),
      ...sample("a/1.x", tensors[1]!, "0\n"),
    ];
    writeFileSync(join(folder, "b.tar"), tarArchive(...sample("a/0", tensors[2]!, "1")));
    writeFileSync(join(folder, "a.tar"), tarArchive(...first));
    const dataset = await openLatents(folder);
    const about = { layout: "tar", length: 3, classes: ["0", "1", "2"], shape: [2, 1, 1], source: null };
    expect(dataset).toMatchObject({ ...about, scalingFactor: null });
    const { latents, labels } = await dataset.read([2, 0, 1]);
    expect([...latents.data]).toEqual([2, 2, 0, 0, 1, 1]);
    expect([...labels.data]).toEqual([1, 2, 0]);
    expect((await dataset.statistics()).channelMean).toEqual([1, 1]);
    mkdirSync(join(folder, "n01"));
    writeFileSync(join(folder, "n01", "c.npy"), array(tensors[0]!));
    await expect(openLatents(folder)).rejects.toThrow(/has both archives \(a\.tar\) and arrays \(n01\/c\.npy\)/);
  });

  const zeros = Tensor.zeros([2, 1, 1]);
  it.each([
    ["a class alone", [tarMember("0.cls", "1")], /the sample "0" has no \.npy/],
    ["an array alone", [tarMember("0.npy", array(zeros))], /the sample "0" has no \.cls/],
    ["an array twice", [...sample("0", zeros, "1"), ...sample("0", zeros, "1")], /"0\.npy" is in it twice/],
    ["a word as its class", sample("0", zeros, "cat"), /0\.cls is "cat", not the number of a class/],
    ["a class without end", sample("0", zeros, "9".repeat(17)), /has no class in its \.cls/],
    ["a class too many", sample("0", zeros, "1000000"), /0\.cls is "1000000", not the number of a class/],
    [
      "arrays of two sizes",
      [...sample("0", zeros, "1"), ...sample("1", Tensor.zeros([2, 4, 4]), "1")],
      /1\.npy has \d+ bytes, others/,
    ],
    ["no arrays", [tarMember("readme.txt", "")], /there are no latents in its archives, as/],
    ["an array of another rank", sample("0", Tensor.zeros([2]), "0"), /its first array is \[2\], not a latent/],
    ["a member beyond its end", [tarMember("0.npy", "x", "0", 1e6)], /doesn't fit into the file/],
    ["a pickle", [tarMember("0.npy", "pickle"), tarMember("0.cls", "0")], /0\.npy: not a \.npy file/],
  ])("of strangers with %s are refused", async (_, members, problem) => {
    const folder = fresh();
    mkdirSync(folder);
    writeFileSync(join(folder, "a.tar"), tarArchive(...members));
    await expect(openLatents(folder)).rejects.toThrow(DataError);
    await expect(openLatents(folder)).rejects.toThrow(problem);
    await expect(openLatents(folder)).rejects.toThrow("a.tar");
  });

  it("that were mixed or changed are noticed, at the latest when a latent is read", async () => {
    const folder = await written({ layout: "tar" });
    const [one, two] = [join(folder, "latents-000000.tar"), join(folder, "latents-000001.tar")];
    const whole = readFileSync(one);
    writeFileSync(one, readFileSync(two));
    await expect(openLatents(folder)).rejects.toThrow(/latents-000000\.tar: has "000000002", where 2 latents/);
    // Of the same names and sizes, but of other classes or shapes.
    const kept = (await (await openLatents(await written({ layout: "tar" }))).read([0])).latents.row(0);
    const other = (label: string, latent = kept) =>
      tarArchive(...sample("000000000", latent, label), ...sample("000000001", latent, "0"));
    writeFileSync(one, other("1"));
    await expect((await openLatents(folder)).read([0])).rejects.toThrow(/000000000\.cls is 1, not 0/);
    writeFileSync(one, other("0", Tensor.zeros([2, 2, 3])));
    await expect((await openLatents(folder)).read([0])).rejects.toThrow(/000000000\.npy is float32 \[2, 2, 3\]/);
    writeFileSync(one, other("0", Tensor.zeros([3, 2, 3])));
    await expect(openLatents(folder)).rejects.toThrow(/000000000\.npy has \d+ bytes, not 176 as float32 \[3, 2, 2\]/);
    // It is written again, as it was.
    await writeUnits(folder, manifest({ layout: "tar" }), encode);
    expect(readFileSync(one).equals(whole)).toBe(true);
    // Removed under a training.
    const dataset = await openLatents(folder);
    truncateSync(two, 1000);
    await expect(dataset.read([3])).rejects.toThrow(/latents-000001\.tar: ended while it was read/);
  });
});

describe("folders of the reference", () => {
  it("are read without a description, with labels from sorted class folders", async () => {
    const folder = fresh();
    const names = ["n02/x.npy", "n01/b.npy", "n01/a.npy"];
    for (const [i, name] of names.entries()) {
      mkdirSync(join(folder, name.slice(0, 3)), { recursive: true });
      writeFileSync(join(folder, name), encodeNpy(Tensor.full([2, 1, 1], i)));
    }
    const dataset = await openLatents(folder);
    expect(dataset).toMatchObject({ classes: ["n01", "n02"], source: null, scalingFactor: null });
    const { latents, labels } = await dataset.read([0, 1, 2]);
    expect([...latents.data]).toEqual([2, 2, 1, 1, 0, 0]);
    expect([...labels.data]).toEqual([0, 0, 1]);
  });

  it("must have class folders with arrays", async () => {
    const folder = fresh();
    mkdirSync(join(folder, "n01"), { recursive: true });
    await expect(openLatents(folder)).rejects.toThrow(/n01: this class folder has no \.npy files/);
    await expect(openLatents(join(folder, "n01"))).rejects.toThrow(/no class folders/);
    await expect(openLatents(join(folder, "nowhere"))).rejects.toThrow(/nowhere.*no such file/);
  });
});

it("a shard holds its labels, so that it says what it is by itself", async () => {
  const file = await openSafetensorsFile(join(await written(), "latents-000001.safetensors"));
  expect([...((await file.entries.get("labels")!.read()).data as Int32Array)]).toEqual([0, 1]);
  await file.close();
});

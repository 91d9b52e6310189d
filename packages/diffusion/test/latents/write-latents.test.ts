/** From a folder of pictures to a folder of latents, by one call of a program. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { ConfigError, createImage, DataError, loadImage, ShapeError, saveImage, type Tensor } from "@dcae/core";
import { PILLOW_DECODE } from "@dcae/core/image";
import type { Autoencoder } from "@dcae/core/internal";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  openLatents,
  type PictureSet,
  pictureFolder,
  type WriteLatentsOptions,
  writeLatents,
} from "../../src/index.js";
import { tinyAutoencoder } from "../support/tiny-models.js";

const root = temporaryFolder();
const photos = join(root, "photos");
let folders = 0;
let autoencoder: Autoencoder;
let pictures: PictureSet;

beforeAll(async () => {
  autoencoder = await tinyAutoencoder();
  for (const [kind, count] of Object.entries({ dog: 2, cat: 3 })) {
    mkdirSync(join(photos, kind), { recursive: true });
    for (let i = 0; i < count; i++) {
      await saveImage(createImage(10, 8, [80 * i, 30, kind === "cat" ? 200 : 10]), join(photos, kind, `${i}.png`));
    }
  }
  pictures = await pictureFolder(photos);
});
afterAll(() => autoencoder.dispose());

const options = (changes: Partial<WriteLatentsOptions> = {}): WriteLatentsOptions => ({
  ...{ autoencoder, pictures, directory: join(root, `latents-${folders++}`), size: 8, shardSize: 2 },
  ...changes,
});

/** The same autoencoder, and how often it was asked. */
function counted(onEncode: () => Promise<void> = async () => {}): { readonly model: Autoencoder; calls(): number } {
  let calls = 0;
  const model = new Proxy(autoencoder, {
    get(target, name) {
      if (name !== "encodeLatent") {
        const value = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      }
      return async (...given: Parameters<Autoencoder["encodeLatent"]>): Promise<Tensor> => {
        calls++;
        await onEncode();
        return target.encodeLatent(...given);
      };
    },
  });
  return { model, calls: () => calls };
}

/** As `bytesOf`, with what is in folders. */
const filesIn = (folder: string) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => [
      relative(folder, join(parentPath, name)),
      readFileSync(join(parentPath, name), "base64"),
    ])
    .sort();

const bytesOf = (folder: string) =>
  readdirSync(folder)
    .sort()
    .map((name) => [name, readFileSync(join(folder, name)).toString("base64")]);

it("the next batch's pictures are read while one is encoded, each once", async () => {
  const log: string[] = [];
  const watched: PictureSet = {
    ...pictures,
    load: (name, size) => {
      log.push(name);
      return pictures.load(name, size);
    },
  };
  const { model } = counted(async () => void log.push("encode"));
  await writeLatents(options({ autoencoder: model, pictures: watched, shardSize: 8, batchSize: 2 }));
  const [a, b, c, d, e] = pictures.names;
  expect(log).toEqual([a, b, c, d, "encode", e, "encode", "encode"]);
});

describe("what is written", () => {
  it("each picture's latent times the factor, with label, description and statistics", async () => {
    const seen: string[] = [];
    const given = options({
      onProgress: ({ stage, done, total, picture }) => seen.push(`${stage} ${done}/${total} ${picture ?? ""}`),
    });
    const written = await writeLatents(given);
    expect(written).toMatchObject({ missing: 0, statistics: { count: 5 } });
    expect(written.manifest).toMatchObject({
      ...{ source: "tiny", scalingFactor: 0.5, shape: [8, 4, 4], seed: null, decoding: "pillow" },
      pictures: ["cat/0", "cat/1", "cat/2", "dog/0", "dog/1"],
    });
    expect(seen.slice(0, 2)).toEqual(["encode 2/5 cat/1", "encode 2/5 "]);
    const dataset = await openLatents(given.directory);
    const { latents, labels } = await dataset.read([0, 4]);
    await dataset.close();
    expect([...labels.data]).toEqual([0, 1]);
    const picture = await loadImage(join(photos, "dog", "1.png"), { ...PILLOW_DECODE, size: 8 });
    const expected = (await autoencoder.encodeLatent(picture)).toFloat32().map((value) => value * 0.5);
    for (const [i, value] of latents.row(1).toFloat32().entries()) expect(value).toBeCloseTo(expected[i]!, 5);
  });

  it("the same bytes at once, in parts, and on top of what is there, which isn't encoded again", async () => {
    const whole = options({ mirrored: true, scalingFactor: "measure" });
    await writeLatents(whole);
    const parts = { ...whole, directory: join(root, "parts") };
    const part = (index: number) => writeLatents({ ...parts, part: { index, count: 2 } });
    expect(await part(1)).toMatchObject({ missing: 3, statistics: undefined });
    expect(await part(0)).toMatchObject({ missing: 0, statistics: { count: 10 } });
    expect(bytesOf(parts.directory)).toEqual(bytesOf(whole.directory));
    const { model, calls } = counted();
    await writeLatents({ ...whole, autoencoder: model });
    expect(calls()).toBe(0);
    expect(bytesOf(whole.directory)).toEqual(bytesOf(parts.directory));
  });

  it("stops without waiting for the model, and goes on from there", async () => {
    const controller = new AbortController();
    let release = () => {};
    const { model } = counted(async () => {
      controller.abort(new Error("enough"));
      await new Promise<void>((resolve) => {
        release = resolve;
      });
    });
    const stopped = options({ autoencoder: model, signal: controller.signal });
    await expect(writeLatents(stopped)).rejects.toThrow("enough");
    release();
    expect(await writeLatents(options({ directory: stopped.directory }))).toMatchObject({ statistics: { count: 5 } });
  });
});

describe("pictures that can't be read", () => {
  it("end the call, or are told once and left out", async () => {
    const broken = join(root, "broken");
    mkdirSync(join(broken, "a"), { recursive: true });
    for (const i of [0, 2]) await saveImage(createImage(8, 8, [90, i, 0]), join(broken, "a", `${i}.png`));
    writeFileSync(join(broken, "a", "1.png"), "not a picture");
    const told: string[] = [];
    const strict = options({
      pictures: await pictureFolder(broken),
      onUnreadable: (name, error) => told.push(`${name} ${error instanceof DataError}`),
    });
    await expect(writeLatents(strict)).rejects.toThrow(join(broken, "a", "1.png"));
    expect(told.splice(0)).toEqual(["a/1 true"]);
    const lenient = { ...strict, skipErrors: true, mirrored: true, scalingFactor: "measure" } as const;
    const { skipped, statistics } = await writeLatents({ ...lenient, directory: options().directory });
    expect([[...skipped.keys()], statistics?.count]).toEqual([["a/1"], 4]);
    expect(told).toEqual(["a/1 true"]);
  });
});

describe("what is refused", () => {
  it.each([
    [{ batchSize: 0 }, ConfigError, "batchSize: 0 isn't a positive integer"],
    [{ seed: 3n }, ConfigError, "seed: it has no effect, tiny encodes without noise"],
    [{ size: 9 }, ShapeError, "aren't multiples of 2"],
    [{ latentChannels: 3 }, ConfigError, "latentChannels: tiny always gives 8"],
    [{ shardSize: 0 }, DataError, "shardSize"],
  ])("%o", async (changes, kind, message) => {
    const given = options(changes);
    const refused = writeLatents(given);
    await expect(refused).rejects.toThrow(kind);
    await expect(refused).rejects.toThrow(message);
    expect(existsSync(given.directory)).toBe(false);
  });

  it("an autoencoder without a factor, and two seeds in one folder", async () => {
    const unscaled = Object.create(autoencoder, { scalingFactor: { value: null } }) as Autoencoder;
    const drawn = { ...pictures, seed: 4n };
    const random = Object.create(autoencoder, {
      description: { value: { ...autoencoder.description, kind: "sd-vae" } },
    }) as Autoencoder;
    await expect(writeLatents(options({ autoencoder: unscaled }))).rejects.toThrow(
      /no scaling factor is known for tiny/,
    );
    const twoSeeds = writeLatents(options({ autoencoder: random, pictures: drawn, seed: 5n }));
    await expect(twoSeeds).rejects.toThrow(/the pictures are drawn from 4, and a folder has one seed/);
  });
});

describe("a unit that was stopped in its middle", () => {
  const given = (changes: Partial<WriteLatentsOptions>) => options({ shardSize: 4, batchSize: 1, ...changes });
  const stop = async (directory: string, layout: WriteLatentsOptions["layout"] = "shards") => {
    const controller = new AbortController();
    let calls = 0;
    const { model } = counted(async () => {
      if (++calls === 3) controller.abort(new Error("preempted"));
    });
    const signal = controller.signal;
    await expect(writeLatents(given({ autoencoder: model, directory, layout, signal }))).rejects.toThrow("preempted");
    const begun = readdirSync(directory).find((name) => name.startsWith(".begun-"));
    return join(directory, begun ?? "no begun unit");
  };

  it.each(["shards", "npy", "tar"] as const)(
    "goes on after its last whole batch, to the same bits: %s",
    async (layout) => {
      const whole = given({ layout });
      await writeLatents(whole);
      const { directory } = given({});
      expect(existsSync(await stop(directory, layout))).toBe(true);
      const again = counted();
      const seen: number[] = [];
      await writeLatents(
        given({ autoencoder: again.model, directory, layout, onProgress: ({ done }) => seen.push(done) }),
      );
      expect(again.calls()).toBeLessThan(4);
      expect(seen[0]).toBe(5 - again.calls());
      expect(seen.at(-1)).toBe(5);
      expect(filesIn(directory)).toEqual(filesIn(whole.directory));
    },
  );

  it.each<[string, Partial<WriteLatentsOptions>, (path: string) => void]>([
    ["other batches", { batchSize: 2 }, () => undefined],
    ["a file that is cut off", {}, (path) => writeFileSync(path, readFileSync(path).subarray(0, -5))],
    ["a file of something else", {}, (path) => writeFileSync(path, "{}")],
  ])("begins anew with %s", async (_, changes, spoil) => {
    const { directory } = given({});
    spoil(await stop(directory));
    const again = counted();
    const written = await writeLatents(given({ autoencoder: again.model, directory, ...changes }));
    expect(again.calls()).toBe(changes.batchSize === 2 ? 3 : 5);
    expect(written).toMatchObject({ missing: 0, missingUnits: [], statistics: { count: 5 } });
    expect(readdirSync(directory).filter((name) => name.startsWith("."))).toEqual([]);
  });
});

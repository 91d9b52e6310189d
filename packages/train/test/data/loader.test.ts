/** Sequences, batches, resuming, and pictures that can't be read. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createImage, imageToTensor } from "@dcae/core";
import { cropImage, encodeImage, resizeImage } from "@dcae/core/image";
import { temporaryFolder } from "@dcae/test-support/temporary-folder";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { createPictureLoader, type PictureLoaderOptions } from "../../src/data/picture-loader.js";
import { DECODE_WAYS, makePicture, type PictureView } from "../../src/data/picture-recipe.js";
import { createPictureSampler } from "../../src/data/picture-sampler.js";
import { fileSource, type RecipeSource, sceneSource } from "../../src/data/picture-source.js";
import { drawScene } from "../../src/scenes/draw-scene.js";

const folder = temporaryFolder();
let pictures: RecipeSource;
let spoiled: RecipeSource;

beforeAll(async () => {
  for (const name of ["good", "spoiled"]) {
    for (let i = 0; i < 10; i++) {
      const place = join(folder, name, `class${i % 2}`);
      await mkdir(place, { recursive: true });
      const picture = await encodeImage(createImage(20, 24, [i * 20, 0, 255 - i * 20]), "png");
      const broken = name === "spoiled" && (i === 3 || i === 6);
      await writeFile(join(place, `${i}.png`), broken ? picture.subarray(0, 40) : picture);
    }
    await writeFile(join(folder, name, "notes.txt"), "no picture");
    await writeFile(join(folder, name, ".hidden.png"), "no picture");
  }
  pictures = await fileSource(join(folder, "good"));
  spoiled = await fileSource(join(folder, "spoiled"));
});

const options = (extra: Partial<PictureLoaderOptions> = {}): PictureLoaderOptions => ({
  sources: [{ source: pictures }],
  batch: 4,
  size: 16,
  seed: 7,
  workers: 0,
  ...extra,
});

async function take(loader: ReturnType<typeof createPictureLoader>, count: number) {
  const batches = [];
  for (let i = 0; i < count; i++) batches.push(await loader.next());
  return batches;
}

describe("sampler", () => {
  const sources = [
    { count: 5, ordered: true, weight: 1 },
    { count: 3, ordered: true, weight: 2 },
  ];

  test("each pass of a source has each picture once, in another order", () => {
    const sampler = createPictureSampler({ sources, seed: 1 });
    const passes = new Map<string, number[]>();
    for (let i = 0; i < 300; i++) {
      const { source, index, after } = sampler.next();
      const { epoch, index: place } = after.sources[source]!;
      const key = `${source}/${place === 0 ? epoch - 1 : epoch}`;
      passes.set(key, [...(passes.get(key) ?? []), index]);
    }
    const full = [...passes].filter(([key, list]) => list.length === (key.startsWith("0") ? 5 : 3));
    expect(full.length).toBeGreaterThan(70);
    for (const [, list] of full) expect([...list].sort()).toEqual(list.map((_, i) => i));
    expect(new Set(full.filter(([key]) => key.startsWith("0")).map(([, list]) => list.join())).size).toBeGreaterThan(5);
  });

  test("sources come by their weights", () => {
    const sampler = createPictureSampler({ sources, seed: 1 });
    const second = Array.from({ length: 3000 }, () => sampler.next().source).filter((source) => source === 1).length;
    expect(second / 3000).toBeCloseTo(2 / 3, 1);
  });

  test("goes on from any position", () => {
    fc.assert(
      fc.property(fc.nat(60), fc.nat(1000), fc.boolean(), (stop, seed, shuffle) => {
        const whole = createPictureSampler({ sources, seed, shuffle });
        const samples = Array.from({ length: stop + 20 }, () => whole.next());
        const from = stop === 0 ? undefined : JSON.parse(JSON.stringify(samples[stop - 1]!.after));
        const resumed = createPictureSampler({ sources, seed, shuffle }, from);
        for (const sample of samples.slice(stop)) expect(resumed.next()).toEqual(sample);
      }),
      { seed: 3, numRuns: 40 },
    );
  });

  test("weights that are no shares are refused", () => {
    expect(() => createPictureSampler({ sources: [{ count: 1, ordered: true, weight: 0 }], seed: 0 })).toThrow(
      /can't be shares/,
    );
    expect(() => createPictureSampler({ sources: [], seed: 0 })).toThrow(/can't be shares/);
  });
});

test("folders list pictures of all classes, sorted, without hidden and other files", async () => {
  expect(pictures.count).toBe(10);
  const names = await Promise.all([0, 4, 5].map((i) => pictures.recipe(i)));
  expect(names.map((recipe) => recipe.kind === "file" && recipe.path.slice(-12))).toEqual([
    "class0/0.png",
    "class0/8.png",
    "class1/1.png",
  ]);
  await expect(fileSource(join(folder, "absent"))).rejects.toThrow(/absent: can't read: no such file/);
  await mkdir(join(folder, "empty"), { recursive: true });
  await expect(fileSource(join(folder, "empty"))).rejects.toThrow(/there are no pictures in it/);
});

describe("loader", () => {
  test("a batch holds pictures in [-1, 1] at the size asked for", async () => {
    const [first] = await take(createPictureLoader(options({ shuffle: false })), 1);
    expect(first!.images.shape).toEqual([4, 3, 16, 16]);
    const alone = await makePicture(await pictures.recipe(0), { size: 16, corner: null, flip: false });
    expect(first!.images.row(0).bytes).toEqual(imageToTensor(alone).bytes);
  });

  test("resumes at the exact picture, with random views, several sources and whatever was made ahead", async () => {
    const settings = options({
      sources: [
        { source: pictures, weight: 1 },
        { source: sceneSource({ count: 50 }), weight: 1 },
      ],
      crop: "center-or-random",
      flip: true,
    });
    const whole = await take(createPictureLoader(settings), 8);
    for (const [stop, prefetch] of [
      [1, 0],
      [3, 2],
      [6, 5],
    ] as const) {
      const position = JSON.parse(JSON.stringify(whole[stop - 1]!.position));
      const rest = await take(createPictureLoader({ ...settings, prefetch }, position), 8 - stop);
      rest.forEach(({ images, position: place }, i) => {
        expect(images.bytes).toEqual(whole[stop + i]!.images.bytes);
        expect(place).toEqual(whole[stop + i]!.position);
      });
    }
    expect(new Set(whole.map(({ images }) => Buffer.from(images.bytes).toString("base64"))).size).toBe(8);
  });

  test("random resized crops differ in scale, and resume at the exact picture", async () => {
    const place = join(folder, "textured");
    await mkdir(place);
    const scene = drawScene({ width: 64, height: 48, seed: 1 });
    for (let i = 0; i < 8; i++) await writeFile(join(place, `${i}.png`), await encodeImage(scene, "png"));
    const settings = options({ sources: [{ source: await fileSource(place) }], crop: "random-resized" });
    const whole = await take(createPictureLoader(settings), 3);
    const rest = await take(createPictureLoader(settings, whole[0]!.position), 2);
    rest.forEach(({ images }, i) => void expect(images.bytes).toEqual(whole[i + 1]!.images.bytes));
    const native = await take(createPictureLoader({ ...settings, crop: "random" }), 1);
    expect(native[0]!.images.bytes).not.toEqual(whole[0]!.images.bytes);
  });

  test("unreadable pictures are named once, counted and passed over, also after resuming", async () => {
    const named: string[] = [];
    const settings = options({ sources: [{ source: spoiled }], onCorrupt: (name) => named.push(name.slice(-5)) });
    const whole = await take(createPictureLoader(settings), 6);
    expect(named.sort()).toEqual(["3.png", "6.png"]);
    expect(whole[5]!.position.corrupt).toHaveLength(2);
    const resumed = await take(createPictureLoader(settings, whole[3]!.position), 2);
    expect(named).toHaveLength(2);
    expect(resumed[1]!.images.bytes).toEqual(whole[5]!.images.bytes);
    expect(resumed[1]!.position).toEqual(whole[5]!.position);
  });

  test("sides are drawn by their shares, for several batches at a time, whatever is read and made ahead", async () => {
    const sizes = [
      { size: 8, share: 3 },
      { size: 16, share: 1 },
    ];
    const settings = options({ sources: [{ source: spoiled }], sizes, batchesPerSize: 2 });
    const whole = await take(createPictureLoader(settings), 80);
    const sides = whole.map(({ size }) => size);
    whole.forEach(({ images, position }, i) => {
      expect(images.shape).toEqual([4, 3, sides[i], sides[i]]);
      expect(position.batches).toBe(i + 1);
    });
    for (let i = 0; i < 80; i += 2) expect(sides[i]).toBe(sides[i + 1]);
    const small = sides.filter((size) => size === 8).length / 80;
    expect(small).toBeGreaterThan(0.6);
    expect(small).toBeLessThan(0.9);
    // Their generator knows nothing of the pictures.
    const other = await take(createPictureLoader({ ...settings, sources: [{ source: pictures }] }), 80);
    expect(other.map(({ size }) => size)).toEqual(sides);
    const reseeded = await take(createPictureLoader({ ...settings, seed: 99 }), 80);
    expect(reseeded.map(({ size }) => size)).not.toEqual(sides);
    for (const [stop, prefetch] of [
      [1, 0],
      [3, 5],
    ] as const) {
      const position = JSON.parse(JSON.stringify(whole[stop - 1]!.position));
      const rest = await take(createPictureLoader({ ...settings, prefetch }, position), 12);
      rest.forEach(({ images, position: place }, i) => {
        expect(images.bytes).toEqual(whole[stop + i]!.images.bytes);
        expect(place).toEqual(whole[stop + i]!.position);
      });
    }
  });

  test("too many unreadable pictures stop the run", async () => {
    const loader = createPictureLoader(options({ sources: [{ source: spoiled }], maxCorrupt: 1 }));
    await expect(take(loader, 6)).rejects.toThrow(/2 pictures can't be read; the last one: .*\.png/);
    const nothing: RecipeSource = { ...spoiled, count: 1, recipe: () => spoiled.recipe(6) };
    await expect(createPictureLoader(options({ sources: [{ source: nothing }] })).next()).rejects.toThrow(
      /can't be read/,
    );
  });

  test("a position in other files is refused", async () => {
    const [batch] = await take(createPictureLoader(options()), 1);
    expect(() => createPictureLoader(options({ sources: [{ source: sceneSource() }] }), batch!.position)).toThrow(
      /scenes changed since the position was saved/,
    );
  });

  test("mirrored and cut views show those pixels", async () => {
    const recipe = { kind: "file", path: join(folder, "gradient.png") } as const;
    const gradient = createImage(6, 4);
    gradient.data.set(gradient.data.map((_, i) => i));
    await writeFile(recipe.path, await encodeImage(gradient, "png"));
    const view = await makePicture(recipe, { size: 2, corner: [0.99, 0], flip: true });
    expect([...view.data]).toEqual([
      ...gradient.data.slice(15, 18),
      ...gradient.data.slice(12, 15),
      ...gradient.data.slice(33, 36),
      ...gradient.data.slice(30, 33),
    ]);
  });

  test("a view's scale goes from the whole shorter side to the picture's own", async () => {
    const recipe = { kind: "file", path: join(folder, "steps.png") } as const;
    const steps = createImage(32, 16);
    steps.data.set(steps.data.map((_, i) => (Math.floor(i / 3) % 32) * 8));
    await writeFile(recipe.path, await encodeImage(steps, "png"));
    const at = (scale: number, x: number) => makePicture(recipe, { size: 4, corner: [x, 0], scale, flip: false });
    expect(await at(1, 0)).toEqual(cropImage(steps, 0, 0, 4, 4));
    expect(await at(0, 0)).toEqual(cropImage(resizeImage(steps, 8, 4), 0, 0, 4, 4));
    expect(await at(0.5, 0.999)).toEqual(cropImage(resizeImage(steps, 16, 8), 12, 0, 4, 4));
  });
});

describe("decoding fast", () => {
  /** Smooth, with an edge, so that a wrong place or scale shows; 4:4:4, so that colors aren't coarser than the rest. */
  const drawn = () => drawScene({ width: 400, height: 300, seed: 3, kind: "still-life" });
  const files = { jpeg: "fast.jpg", webp: "fast.webp", png: "fast.png" } as const;
  const far = (a: Uint8Array, b: Uint8Array) =>
    a.reduce((sum, value, i) => sum + Math.abs(value - b[i]!), 0) / a.length;

  beforeAll(async () => {
    for (const [format, name] of Object.entries(files) as [keyof typeof files, string][]) {
      await mkdir(join(folder, "fast"), { recursive: true });
      await writeFile(join(folder, "fast", name), await encodeImage(drawn(), format));
    }
  });

  const views: readonly PictureView[] = [
    { size: 32, corner: null, flip: false },
    { size: 32, corner: [0.9, 0.1], scale: 0, flip: false },
    { size: 32, corner: [0.3, 0.7], scale: 0.5, flip: true },
    { size: 64, corner: [0.5, 0.5], scale: 1, flip: false },
    // No room: scaled up, as by DMCrop.
    { size: 320, corner: [0.5, 0.5], scale: 1, flip: false },
  ];

  test.each(Object.values(files))("%s: the exact square up to a few steps of 255, always the same", async (name) => {
    const recipe = { kind: "file", path: join(folder, "fast", name) } as const;
    for (const view of views) {
      const exact = await makePicture(recipe, view);
      const fast = await makePicture(recipe, { ...view, decode: "fast" });
      expect([fast.width, fast.height]).toEqual([view.size, view.size]);
      expect(far(fast.data, exact.data)).toBeLessThan(5);
      const elsewhere = await makePicture(recipe, { ...view, flip: !view.flip });
      expect(far(fast.data, elsewhere.data)).toBeGreaterThan(10);
      const again = await makePicture(recipe, { ...view, decode: "fast" });
      expect(Buffer.compare(again.data, fast.data)).toBe(0);
    }
    // Native scale has nothing to resize: the same bytes.
    const native = views[3]!;
    expect((await makePicture(recipe, { ...native, decode: "fast" })).data).toEqual(
      (await makePicture(recipe, native)).data,
    );
  });

  test("what libvips alone can't do is decoded whole: transparency, other formats", async () => {
    const { loadSharp } = await import("@dcae/core/image");
    const sharp = await loadSharp();
    const { width, height, data } = drawn();
    const rgba = new Uint8Array(width * height * 4).map((_, i) =>
      i % 4 === 3 ? i % 7 : data[(i >> 2) * 3 + (i % 4)]!,
    );
    const path = join(folder, "fast", "clear.png");
    await writeFile(
      path,
      await sharp(rgba, { raw: { width, height, channels: 4 } })
        .png()
        .toBuffer(),
    );
    // Its square at one resizing, of the stored colors, also where nobody sees them.
    const view = { size: 32, corner: [0.3, 0.7], scale: 0.5, flip: false } as const;
    const recipe = { kind: "file", path } as const;
    expect((await makePicture(recipe, { ...view, decode: "fast" })).data).toEqual(
      (await makePicture(recipe, view)).data,
    );
    const damaged = join(folder, "fast", "damaged.jpg");
    await writeFile(damaged, (await encodeImage(drawn(), "jpeg")).subarray(0, 3000));
    await expect(makePicture({ kind: "file", path: damaged }, { ...view, decode: "fast" })).rejects.toThrow(
      /damaged.jpg: /,
    );
  });

  test.each(DECODE_WAYS)("resumes with the same pictures: %s", async (decode) => {
    const source = await fileSource(join(folder, "fast"));
    const settings = options({ sources: [{ source }], batch: 2, size: 32, crop: "random-resized", flip: true, decode });
    const whole = createPictureLoader(settings);
    const batches = await take(whole, 4);
    await whole.close();
    const resumed = createPictureLoader(settings, batches[1]!.position);
    const rest = await take(resumed, 2);
    await resumed.close();
    expect(rest.map(({ images }) => images.data)).toEqual(batches.slice(2).map(({ images }) => images.data));
  });
});

/** Pictures to files and back; what can't be written leaves nothing behind. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeEach, expect, test } from "vitest";
import { ConfigError, DataError, ShapeError } from "../../src/errors.js";
import { createRandom } from "../../src/graph/random.js";
import { Tensor } from "../../src/graph/tensor.js";
import { psnr } from "../../src/image/compare-images.js";
import { decodeImage } from "../../src/image/decode-image.node.js";
import { createImage, type Image, imagesToTensor, imageToTensor } from "../../src/image/image.js";
import { type SaveImageOptions, saveImage } from "../../src/image/save-image.node.js";

const root = mkdtempSync(join(tmpdir(), "dcae-save-"));
afterAll(() => rmSync(root, { recursive: true }));

let folder = "";
let counter = 0;
beforeEach(() => {
  folder = join(root, String(counter++));
  mkdirSync(folder);
});

function noise(width: number, height: number, seed = 1): Image {
  const data = Uint8Array.from({ length: width * height * 3 });
  const random = createRandom(seed);
  return createImage(
    width,
    height,
    data.map(() => random.nextInteger(256)),
  );
}

/** Smooth, so that lossy formats can keep it. */
const gradient = createImage(
  48,
  32,
  Uint8Array.from({ length: 48 * 32 * 3 }, (_, i) => [(i / 3) % 48, Math.floor(i / 144) * 2, 90][i % 3]! * 2),
);

test.each([".png", ".PNG", ".tif", ".tiff"])("%s keeps every byte, from an Image and from a tensor", async (ending) => {
  const image = noise(17, 9);
  const path = join(folder, `picture${ending}`);
  await saveImage(image, path);
  expect((await decodeImage(path)).data).toEqual(image.data);
  await saveImage(imageToTensor(image), path);
  expect((await decodeImage(path)).data).toEqual(image.data);
  expect(readdirSync(folder)).toHaveLength(1);
});

test.each([".webp", ".avif"])("%s is lossless when asked", async (ending) => {
  const image = noise(16, 16);
  const path = join(folder, `picture${ending}`);
  await saveImage(image, path, { lossless: true });
  const read = await decodeImage(path);
  // libvips stores lossless AVIF as 4:4:4 YCbCr, whose rounding costs up to a few levels.
  const allowed = ending === ".webp" ? Number.POSITIVE_INFINITY : 45;
  expect(psnr(image, read)).toBeGreaterThanOrEqual(allowed);
});

test.each([".jpg", ".jpeg", ".webp", ".avif"])("%s: quality matters, and the default is high", async (ending) => {
  const size = async (options: SaveImageOptions) => {
    const path = join(folder, `picture${ending}`);
    await saveImage(gradient, path, options);
    return { bytes: readFileSync(path).length, db: psnr(gradient, await decodeImage(path)) };
  };
  const [standard, poor] = [await size({}), await size({ quality: 5 })];
  expect(standard.db).toBeGreaterThan(38);
  expect(poor.db).toBeLessThan(standard.db);
  expect(poor.bytes).toBeLessThan(standard.bytes);
});

test("jpeg keeps full color resolution", async () => {
  const path = join(folder, "a.jpg");
  await saveImage(gradient, path);
  expect((await sharp(path).metadata()).chromaSubsampling).toBe("4:4:4");
});

test("rounding reaches the file", async () => {
  // 255 v + 0.5 rounds half up, 255 v to even: they differ at v = 0.5 / 255 * 1, a tie.
  const tie = Math.fround((2 * 0.5) / 255 - 1);
  const tensor = Tensor.full([1, 3, 1, 1], tie);
  const path = join(folder, "a.png");
  await saveImage(tensor, path);
  const up = (await decodeImage(path)).data[0];
  await saveImage(tensor, path, { rounding: "half-even" });
  const even = (await decodeImage(path)).data[0];
  expect([up, even]).toEqual([1, 0]);
});

test("a batch is refused, or written as a sheet", async () => {
  const batch = imagesToTensor([noise(4, 4, 1), noise(4, 4, 2), noise(4, 4, 3)]);
  const path = join(folder, "sheet.png");
  await expect(saveImage(batch, path)).rejects.toThrow(ShapeError);
  await expect(saveImage(batch, path)).rejects.toThrow(/sheet\.png: .*the tensor has 3/);
  expect(readdirSync(folder)).toEqual([]);
  await saveImage(batch, path, { columns: 2 });
  const sheet = await decodeImage(path);
  expect([sheet.width, sheet.height]).toEqual([14, 14]);
});

test.each(["picture", "picture.bmp", "picture.heic", ".png"])("%s: the ending is unknown", async (name) => {
  const failure = saveImage(noise(2, 2), join(folder, name));
  await expect(failure).rejects.toThrow(ConfigError);
  await expect(failure).rejects.toThrow(/\.png, \.jpg, \.jpeg, \.webp, \.avif, \.tif, \.tiff/);
  expect(readdirSync(folder)).toEqual([]);
});

test.each<[string, SaveImageOptions]>([
  ["a.png", { quality: 90 }],
  ["a.tif", { quality: 90 }],
  ["a.png", { lossless: true }],
  ["a.jpg", { lossless: false }],
  ["a.jpg", { quality: 0 }],
  ["a.jpg", { quality: 101 }],
  ["a.jpg", { quality: 50.5 }],
  ["a.webp", { quality: 50, lossless: true }],
  ["a.png", { columns: 2 }],
  ["a.png", { rounding: "half-even" }],
])("%s with %o: an option without effect is an error", async (name, options) => {
  await expect(saveImage(noise(2, 2), join(folder, name), options)).rejects.toThrow(ConfigError);
  expect(readdirSync(folder)).toEqual([]);
});

test("NaN is refused, infinities are clamped", async () => {
  const path = join(folder, "a.png");
  const values = new Float32Array(12);
  values[5] = Number.NaN;
  await expect(saveImage(Tensor.float32(values, [1, 3, 2, 2]), path)).rejects.toThrow(/a\.png: .*NaN at element 5/);
  values[5] = Number.POSITIVE_INFINITY;
  values[6] = Number.NEGATIVE_INFINITY;
  await saveImage(Tensor.float32(values, [1, 3, 2, 2]), path);
  const { data } = await decodeImage(path);
  expect([data[4], data[7]]).toEqual([255, 0]);
});

test.each([[[3, 2, 2]], [[1, 4, 2, 2]], [[1, 3, 0, 2]], [[0, 3, 2, 2]]])("shape %j is refused", async (shape) => {
  await expect(saveImage(Tensor.zeros(shape), join(folder, "a.png"))).rejects.toThrow(ShapeError);
});

test("a missing folder, a folder in place of the file, too large a side", async () => {
  await expect(saveImage(noise(2, 2), join(folder, "none", "a.png"))).rejects.toThrow(DataError);
  mkdirSync(join(folder, "b.png"));
  await expect(saveImage(noise(2, 2), join(folder, "b.png"))).rejects.toThrow(/b\.png/);
  await expect(saveImage(createImage(16384, 1), join(folder, "c.webp"))).rejects.toThrow(
    /c\.webp: 16384x1 is too large/,
  );
  expect(readdirSync(folder)).toEqual(["b.png"]);
});

test("a failed write leaves the older file", async () => {
  const path = join(folder, "a.png");
  writeFileSync(path, "older");
  await expect(saveImage(Tensor.full([1, 3, 2, 2], Number.NaN), path)).rejects.toThrow(DataError);
  expect(readFileSync(path, "utf8")).toBe("older");
});

/** Bitmaps, Netpbm's formats and GIFs beyond what Pillow shows: alpha, damage, bounds; and what a file is told by. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { DataError } from "../../src/errors.js";
import { createRandom } from "../../src/graph/random.js";
import { decodeImage, readImageSize } from "../../src/image/decode-image.node.js";
import { createImage } from "../../src/image/image.js";
import { isPictureName, PICTURE_ENDINGS } from "../../src/image/picture-name.js";
import { encodeImage } from "../../src/image/save-image.node.js";
import { goldenImagePath } from "./golden-image.js";

const { cases } = JSON.parse(readFileSync(goldenImagePath("pillow-formats.json"), "utf8")) as {
  readonly cases: readonly { name: string; file: string }[];
};
const files = Object.fromEntries(cases.map(({ name, file }) => [name, new Uint8Array(Buffer.from(file, "base64"))]));
const ascii = (text: string) => new TextEncoder().encode(text);

/** A bitmap of one pixel with 32 bits and the masks of a V4 header. */
function bitmap(pixel: number, masks: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(14 + 108 + 4);
  const view = new DataView(bytes.buffer);
  bytes.set(ascii("BM"));
  view.setUint32(10, 122, true);
  view.setUint32(14, 108, true);
  view.setInt32(18, 1, true);
  view.setInt32(22, 1, true);
  view.setUint16(28, 32, true);
  view.setUint32(30, 3, true);
  for (const [i, mask] of masks.entries()) view.setUint32(54 + 4 * i, mask, true);
  view.setUint32(122, pixel, true);
  return bytes;
}

describe("bitmaps", () => {
  test("alpha where there is a mask for it, the highest bits too", async () => {
    const half = bitmap(0x80_ff_00_40, [0xff0000, 0xff00, 0xff, 0xff000000]);
    expect([...(await decodeImage(half)).data]).toEqual([255, 0, 64]);
    expect([...(await decodeImage(half, { alpha: "white" })).data]).toEqual([255, 127, 159]);
    const narrow = bitmap(0x80000000 | 0x3, [0x80000000, 0x3, 0xc, 0]);
    expect([...(await decodeImage(narrow, { alpha: "white" })).data]).toEqual([255, 255, 0]);
  });

  test("runs that leave the picture, and a kind that isn't read", async () => {
    const runs = Uint8Array.from(files["rle8.bmp"]!);
    const pixels = new DataView(runs.buffer).getUint32(10, true);
    runs[pixels] = 255;
    expect((await decodeImage(runs)).width).toBe(6);
    const jpeg = bitmap(0, []);
    jpeg[30] = 4;
    await expect(decodeImage(jpeg)).rejects.toThrow(/a bitmap of 32 bits with compression 4 isn't read/);
  });
});

describe("damaged files", () => {
  const names = [
    "rle8.bmp",
    "rle4.bmp",
    "b4.bmp",
    "b565.bmp",
    "core.bmp",
    "rgba.bmp",
    "m100.ppm",
    "plain.pgm",
    "tr-sub.gif",
  ];
  const own = names.map((name) => [name, files[name]!] as const);

  test.each(own)("%s: a picture of the size it states, or a DataError of one line", async (_, bytes) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(Math.min(bytes.length, 80) - 1), fc.nat(255)), { minLength: 1, maxLength: 5 }),
        fc.option(fc.nat(bytes.length), { nil: bytes.length, freq: 3 }),
        async (changes, length) => {
          const mutated = Uint8Array.from(bytes.subarray(0, length));
          for (const [at, value] of changes) if (at < length) mutated[at] = value;
          try {
            const image = await decodeImage(mutated, { maxPixels: 2 ** 14 });
            expect(image.data.length).toBe(image.width * image.height * 3);
          } catch (error) {
            expect(error).toBeInstanceOf(DataError);
            expect((error as DataError).message).toMatch(/^image data: [^\n]+$/);
          }
        },
      ),
      { seed: 80, numRuns: 50 },
    );
  });

  test.each(["rgb.bmp", "b4.bmp", "rle8.bmp", "rgb.ppm", "plain.ppm", "B.pbm"])(
    "%s cut off is refused",
    async (name) => {
      const bytes = files[name]!;
      for (const keep of [0.2, 0.6, 0.9]) {
        await expect(decodeImage(bytes.subarray(0, Math.floor(bytes.length * keep)))).rejects.toThrow(DataError);
      }
    },
  );

  test("sizes are refused before memory is taken", async () => {
    await expect(decodeImage(ascii("P6 90000 90000 255\n"))).rejects.toThrow(/90000x90000 has more pixels/);
    await expect(decodeImage(ascii("P5 9000 9000 255\n"))).rejects.toThrow(/the file ends before its pixels do/);
    await expect(decodeImage(ascii("P5 0 4 255\n"))).rejects.toThrow(/its size is 0x4/);
    await expect(decodeImage(ascii("P5 1 1 70000\n  "))).rejects.toThrow(/largest value is 70000/);
    await expect(decodeImage(ascii("P3 1 1 255 1 x 3"))).rejects.toThrow(/not a number at byte/);
  });
});

test("transparent pixels of a GIF keep the palette's color, or show what is behind", async () => {
  const rgba = Uint8Array.of(200, 30, 20, 255, 10, 180, 40, 255, 10, 180, 40, 255, 200, 30, 20, 255);
  const gif = await sharp(rgba, { raw: { width: 2, height: 2, channels: 4 } })
    .gif()
    .toBuffer();
  const opaque = await decodeImage(new Uint8Array(gif));
  const transparent = Uint8Array.from(files["tr.gif"]!);
  const image = await decodeImage(transparent);
  expect(image.data).toEqual((await decodeImage(files["plain.gif"]!)).data);
  const onWhite = await decodeImage(transparent, { alpha: "white" });
  expect(onWhite.data).not.toEqual(image.data);
  expect([...opaque.data.subarray(0, 3)]).toEqual([...opaque.data.subarray(9, 12)]);
});

test("every ending that folders are searched for can be read", async () => {
  const picture = createImage(4, 4, [10, 200, 30]);
  const raw = sharp(picture.data, { raw: { width: 4, height: 4, channels: 3 } });
  const [jpeg, tiff] = [await raw.jpeg().toBuffer(), await raw.tiff().toBuffer()];
  const contents: Record<string, Uint8Array> = {
    ...Object.fromEntries([".jpg", ".jpeg", ".jpe", ".jfif"].map((ending) => [ending, jpeg])),
    ...Object.fromEntries([".tif", ".tiff"].map((ending) => [ending, tiff])),
    ".png": await raw.png().toBuffer(),
    ".webp": await raw.webp().toBuffer(),
    ".avif": await raw.avif().toBuffer(),
    ".gif": await raw.gif().toBuffer(),
    ".svg": ascii('<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"><rect width="4" height="4"/></svg>'),
    ".bmp": files["rgb.bmp"]!,
    ".ppm": files["rgb.ppm"]!,
    ".pgm": files["L.pgm"]!,
    ".pbm": files["B.pbm"]!,
    ".pnm": files["plain.ppm"]!,
  };
  expect(Object.keys(contents).sort()).toEqual([...PICTURE_ENDINGS].sort());
  for (const [ending, bytes] of Object.entries(contents)) {
    expect(isPictureName(`a/b${ending.toUpperCase()}`)).toBe(true);
    expect((await decodeImage(bytes)).width).toBeGreaterThan(0);
  }
});

describe("the size alone", () => {
  test.each(Object.keys(files))("%s", async (name) => {
    const { width, height } = await decodeImage(files[name]!, { orientation: "ignore" });
    expect(await readImageSize(files[name]!)).toEqual({ width, height });
  });

  test.each(["png", "jpeg", "webp", "avif", "tiff"] as const)(
    "of a large file is in its start, or all of it is read: %s",
    async (format) => {
      const noise = createImage(700, 300, [0, 0, 0]);
      createRandom(3)
        .uniform(new Float32Array(noise.data.length), 0, 256)
        .forEach((value, i) => {
          noise.data[i] = value;
        });
      const bytes = await encodeImage(noise, format);
      expect(bytes.byteLength).toBeGreaterThan(2 ** 16);
      let whole = 0;
      const read = async () => {
        whole += 1;
        return bytes;
      };
      const lazy = {
        name: "x",
        size: bytes.byteLength,
        read,
        readStart: async (count: number) => bytes.subarray(0, count),
      };
      expect(await readImageSize(lazy)).toEqual({ width: 700, height: 300 });
      if (format === "png" || format === "jpeg") expect(whole).toBe(0);
      // A header that isn't there yet: the size is that of the whole file.
      const late = { ...lazy, readStart: async (count: number) => bytes.subarray(0, Math.min(count, 12)) };
      expect(await readImageSize(late)).toEqual({ width: 700, height: 300 });
      expect(whole).toBeGreaterThan(0);
    },
  );

  test("of what isn't a picture", async () => {
    await expect(readImageSize(ascii("nothing"))).rejects.toThrow(DataError);
  });
});

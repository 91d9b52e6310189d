/** Orientation, transparency, bit depth, color profiles, animations, limits: what files carry besides RGB pixels. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { pathToFileURL } from "node:url";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { ConfigError, DataError } from "../../src/errors.js";
import {
  type DecodeOptions,
  decodeImage,
  loadImage,
  loadImages,
  PILLOW_DECODE,
} from "../../src/image/decode-image.node.js";
import { createImage, type Image } from "../../src/image/image.js";
import { goldenImagePath, goldenImages } from "./golden-image.js";

/** 3 x 2 pixels, all different. */
const small = createImage(
  3,
  2,
  Uint8Array.from({ length: 18 }, (_, i) => (i * 37 + 11) % 256),
);
const raw = (image: Image) => sharp(image.data, { raw: { width: image.width, height: image.height, channels: 3 } });

const at = (image: Image, x: number, y: number) => [...image.data.subarray((y * image.width + x) * 3).subarray(0, 3)];

describe("EXIF orientation", () => {
  // Where pixel (x, y) of the upright W x H picture lies in the stored one, by the meaning of each value.
  const stored: Record<number, (x: number, y: number, w: number, h: number) => [number, number]> = {
    1: (x, y) => [x, y],
    2: (x, y, w) => [w - 1 - x, y],
    3: (x, y, w, h) => [w - 1 - x, h - 1 - y],
    4: (x, y, _w, h) => [x, h - 1 - y],
    5: (x, y) => [y, x],
    6: (x, y, w) => [y, w - 1 - x],
    7: (x, y, w, h) => [h - 1 - y, w - 1 - x],
    8: (x, y, _w, h) => [h - 1 - y, x],
  };

  test.each([1, 2, 3, 4, 5, 6, 7, 8])("%i", async (orientation) => {
    const bytes = await raw(small).withMetadata({ orientation }).png().toBuffer();
    const swapped = orientation >= 5;
    const upright = await decodeImage(bytes);
    expect([upright.width, upright.height]).toEqual(swapped ? [2, 3] : [3, 2]);
    for (let y = 0; y < upright.height; y++) {
      for (let x = 0; x < upright.width; x++) {
        const [sx, sy] = stored[orientation]!(x, y, upright.width, upright.height);
        expect(at(upright, x, y)).toEqual(at(small, sx, sy));
      }
    }
    expect((await decodeImage(bytes, { orientation: "ignore" })).data).toEqual(small.data);
  });
});

describe("transparency", () => {
  const rgba = Uint8Array.of(200, 100, 50, 255, 200, 100, 50, 0, 200, 100, 50, 128);
  const file = () =>
    sharp(rgba, { raw: { width: 3, height: 1, channels: 4 } })
      .png()
      .toBuffer();

  test.each<[DecodeOptions["alpha"], number[]]>([
    [undefined, [200, 100, 50, 200, 100, 50, 200, 100, 50]],
    ["drop", [200, 100, 50, 200, 100, 50, 200, 100, 50]],
    ["white", [200, 100, 50, 255, 255, 255, 227, 177, 152]],
    [
      [0, 0, 255],
      [200, 100, 50, 0, 0, 255, 100, 50, 152],
    ],
  ])("alpha: %o", async (alpha, expected) => {
    const image = await decodeImage(await file(), alpha === undefined ? {} : { alpha });
    expect([...image.data]).toEqual(expected);
  });

  test("grey with alpha", async () => {
    const gray = await sharp(rgba, { raw: { width: 3, height: 1, channels: 4 } })
      .toColourspace("b-w")
      .png()
      .toBuffer();
    expect((await sharp(gray).metadata()).channels).toBe(2);
    const [a, b] = [await decodeImage(gray), await decodeImage(gray, { alpha: "white" })];
    expect(a.data[0]).toBe(a.data[2]);
    expect([...b.data.subarray(3, 6)]).toEqual([255, 255, 255]);
  });
});

describe("16 bits", () => {
  const levels = [0, 255, 256, 257, 32767, 32768, 65279, 65280, 65535];
  const upper = levels.map((level) => level >> 8);

  test("RGB keeps the upper byte", async () => {
    const samples = Uint16Array.from(levels);
    const bytes = await sharp(samples, { raw: { width: 3, height: 1, channels: 3 } })
      .toColourspace("rgb16")
      .png()
      .toBuffer();
    expect((await sharp(bytes).metadata()).depth).toBe("ushort");
    expect([...(await decodeImage(bytes)).data]).toEqual(upper);
    expect([...(await decodeImage(bytes, PILLOW_DECODE)).data]).toEqual(upper);
  });

  test.each(["png", "tiff"] as const)("grey %s keeps the upper byte", async (format) => {
    const samples = Uint16Array.from(levels);
    const bytes = await sharp(samples, { raw: { width: 9, height: 1, channels: 1 } })
      .toColourspace("grey16")
      [format](format === "tiff" ? { compression: "lzw" } : {})
      .toBuffer();
    expect((await sharp(bytes).metadata()).depth).toBe("ushort");
    const image = await decodeImage(bytes);
    expect([...image.data]).toEqual(upper.flatMap((level) => [level, level, level]));
  });

  test("floating-point samples are refused", async () => {
    const bytes = await sharp(Float32Array.of(0, 0.5, 1), { raw: { width: 3, height: 1, channels: 1 } })
      .toColourspace("scrgb")
      .tiff({ compression: "none" })
      .toBuffer();
    expect((await sharp(bytes).metadata()).depth).toBe("float");
    await expect(decodeImage(bytes)).rejects.toThrow(/samples are of type float/);
  });
});

describe("color profiles", () => {
  const red = createImage(4, 4, [250, 20, 30]);
  const p3 = () => raw(red).withIccProfile("p3").png().toBuffer();

  test("Display P3 becomes sRGB, or stays as stored", async () => {
    const bytes = await p3();
    // sharp converts sRGB to P3 on writing, so that converting back gives the original.
    const image = await decodeImage(bytes);
    for (let c = 0; c < 3; c++) expect(Math.abs(image.data[c]! - red.data[c]!)).toBeLessThanOrEqual(2);
    const stored = await decodeImage(bytes, { colorProfile: "ignore" });
    expect(stored.data[0]).toBeLessThan(240);
    expect(stored.data[1]).toBeGreaterThan(40);
  });

  test("16-bit Display P3 becomes sRGB", async () => {
    const p3 = [180, 120, 90];
    const samples = Uint16Array.from({ length: 48 }, (_, i) => p3[i % 3]! * 257);
    // For 16-bit samples sharp takes the numbers as P3 already and only embeds the profile.
    const bytes = await sharp(samples, { raw: { width: 4, height: 4, channels: 3 } })
      .toColourspace("rgb16")
      .withIccProfile("p3")
      .png()
      .toBuffer();
    const metadata = await sharp(bytes).metadata();
    expect([metadata.depth, metadata.hasProfile]).toEqual(["ushort", true]);
    expect(at(await decodeImage(bytes, { colorProfile: "ignore" }), 0, 0)).toEqual(p3);

    // The same by matrices: linear light, P3 primaries to sRGB primaries (both D65), the sRGB curve again.
    const linear = p3.map((level) => ((level / 255 + 0.055) / 1.055) ** 2.4);
    const primaries = [
      [1.2249, -0.2247, 0],
      [-0.042, 1.0419, 0],
      [-0.0197, -0.0786, 1.0979],
    ];
    const expected = primaries.map((row) => {
      const light = row.reduce((sum, weight, c) => sum + weight * linear[c]!, 0);
      return 255 * (1.055 * light ** (1 / 2.4) - 0.055);
    });
    const image = await decodeImage(bytes);
    for (let c = 0; c < 3; c++) expect(Math.abs(image.data[c]! - expected[c]!)).toBeLessThan(1.5);
    expect(Math.abs(expected[0]! - p3[0]!)).toBeGreaterThan(5); // so that ignoring the profile would be noticed
  });

  test("an sRGB profile changes nothing", async () => {
    const bytes = await raw(small).withIccProfile("srgb").png().toBuffer();
    expect((await sharp(bytes).metadata()).hasProfile).toBe(true);
    expect((await decodeImage(bytes)).data).toEqual(small.data);
  });

  test("CMYK goes through ink profiles by default", async () => {
    const image = await decodeImage(goldenImagePath("cmyk.jpg"));
    const plain = await decodeImage(goldenImagePath("cmyk.jpg"), PILLOW_DECODE);
    expect([image.width, image.height]).toEqual([24, 24]);
    expect(image.data).not.toEqual(plain.data);
    // No ink is white; ink profiles show it so too.
    expect(Math.min(...at(image, 0, 0))).toBeGreaterThan(245);
  });
});

test("of an animation the first frame is read", async () => {
  const golden = await goldenImages("pillow-decode");
  const first = await decodeImage(goldenImagePath("animated.gif"));
  expect(first.data).toEqual(golden.image("animated.gif").data);
});

test("WebP, AVIF, TIFF, GIF and SVG are read", async () => {
  const gray = createImage(16, 16, [90, 90, 90]);
  for (const format of ["webp", "avif", "tiff", "gif"] as const) {
    const image = await decodeImage(await raw(gray)[format]().toBuffer());
    expect([image.width, image.height]).toEqual([16, 16]);
    expect(Math.abs(image.data[0]! - 90)).toBeLessThanOrEqual(3);
  }
  const svg =
    '<svg xmlns="http://www.w3.org/2000/svg" width="5" height="4"><rect width="5" height="4" fill="#f00"/></svg>';
  const drawn = await decodeImage(new TextEncoder().encode(svg));
  expect([drawn.width, drawn.height, ...drawn.data.subarray(0, 3)]).toEqual([5, 4, 255, 0, 0]);
});

test("paths, URLs and bytes give the same picture", async () => {
  const path = goldenImagePath("rgb.jpg");
  const { readFileSync } = await import("node:fs");
  const bytes = readFileSync(path);
  const expected = await decodeImage(path);
  const server = createServer((request, response) => {
    if (request.url !== "/rgb.jpg") response.statusCode = 404;
    response.end(bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const sources = [
      pathToFileURL(path),
      `${origin}/rgb.jpg`,
      new URL(`data:image/jpeg;base64,${bytes.toString("base64")}`),
      new Uint8Array(bytes),
      new Uint8Array(bytes).buffer,
    ];
    for (const source of sources) expect((await decodeImage(source)).data).toEqual(expected.data);
    await expect(decodeImage(`${origin}/missing.jpg`)).rejects.toThrow(/missing\.jpg: the server answered 404/);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});

test("maxPixels is checked before decoding", async () => {
  const bytes = await raw(small).png().toBuffer();
  await expect(decodeImage(bytes, { maxPixels: 5 })).rejects.toThrow(/3x2 has more pixels than the limit of 5/);
  expect((await decodeImage(bytes, { maxPixels: 6 })).width).toBe(3);
});

test("a decompression bomb is refused by its header", async () => {
  const bytes = await raw(small).png().toBuffer();
  // IHDR holds the width at 16 and the height at 20; its checksum follows at 29.
  bytes.writeUInt32BE(100_000, 16);
  bytes.writeUInt32BE(100_000, 20);
  const { crc32 } = await import("node:zlib").then((zlib) => ({
    crc32: (zlib as { crc32?: (b: Buffer) => number }).crc32,
  }));
  bytes.writeUInt32BE(crc32?.(bytes.subarray(12, 29)) ?? crc(bytes.subarray(12, 29)), 29);
  await expect(decodeImage(bytes)).rejects.toThrow(/100000x100000 has more pixels/);
});

function crc(bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  }
  return (value ^ 0xffffffff) >>> 0;
}

test("loadImage gives a tensor, cropped on request; loadImages a batch", async () => {
  const path = goldenImagePath("rgb.jpg");
  expect((await loadImage(path)).shape).toEqual([1, 3, 24, 24]);
  expect((await loadImage(path, { size: 16 })).shape).toEqual([1, 3, 16, 16]);
  expect((await loadImage(path, { size: [8, 20] })).shape).toEqual([1, 3, 8, 20]);
  const batch = await loadImages([path, goldenImagePath("palette.png")], { size: 12 });
  expect(batch.shape).toEqual([2, 3, 12, 12]);
  expect(batch.row(0).data).toEqual((await loadImage(path, { size: 12 })).data);
});

test.each<[string, object]>([
  ["orientation", { orientation: "auto" }],
  ["alpha", { alpha: "black" }],
  ["alpha", { alpha: [0, 0, 256] }],
  ["colorProfile", { colorProfile: true }],
  ["maxPixels", { maxPixels: 0 }],
])("an invalid %s is refused", async (name, options) => {
  const failure = decodeImage(goldenImagePath("rgb.jpg"), options as DecodeOptions);
  await expect(failure).rejects.toThrow(ConfigError);
  await expect(failure).rejects.toThrow(new RegExp(name));
});

test("DataError is what callers catch", async () => {
  await expect(decodeImage(new Uint8Array(3))).rejects.toThrow(DataError);
});

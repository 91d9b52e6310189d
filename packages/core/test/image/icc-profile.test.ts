/** sRGB is told by primaries and curves, whatever a profile is called. */
import { deflateSync } from "node:zlib";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { decodeImage } from "../../src/image/decode-image.node.js";
import { isSrgbProfile } from "../../src/image/formats/icc-profile.js";
import { createImage } from "../../src/image/image.js";

type Xyz = readonly [number, number, number];

const SRGB: readonly Xyz[] = [
  [0.43607, 0.22249, 0.01392],
  [0.38515, 0.71687, 0.09708],
  [0.14307, 0.06061, 0.7141],
];
const P3: readonly Xyz[] = [
  [0.51512, 0.2412, -0.00105],
  [0.29198, 0.69225, 0.04189],
  [0.1571, 0.06657, 0.78407],
];
const WHITE: Xyz = [0.9642, 1, 0.8249];

const ascii = (text: string) => [...text].map((letter) => letter.charCodeAt(0));
const uint32 = (value: number) => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255);
const fixed = (value: number) => uint32(Math.round(value * 65536));
const xyz = (values: Xyz) => [...ascii("XYZ "), ...uint32(0), ...values.flatMap(fixed)];
const description = (name: string) => [...ascii("desc"), ...uint32(0), ...uint32(name.length + 1), ...ascii(name), 0];
/** IEC 61966-2-1 from encoded to linear. */
const srgb = (x: number) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);

const sampled = (curve: (x: number) => number, count: number) => [
  ...ascii("curv"),
  ...uint32(0),
  ...uint32(count),
  ...Array.from({ length: count }, (_, i) => Math.round(65535 * curve(i / (count - 1)))).flatMap((v) => [
    v >> 8,
    v & 255,
  ]),
];
const gamma = (value: number) => [
  ...ascii("curv"),
  ...uint32(0),
  ...uint32(1),
  Math.floor(value),
  Math.round((value % 1) * 256),
];
const linear = [...ascii("curv"), ...uint32(0), ...uint32(0)];
const parametric = (kind: number, ...values: number[]) => [
  ...[...ascii("para"), ...uint32(0), 0, kind, 0, 0],
  ...values.flatMap(fixed),
];
const exact = parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045);

/** A profile of these tags. */
function profile(tags: Readonly<Record<string, readonly number[]>>, space = "RGB "): Uint8Array {
  const entries = Object.entries(tags).map(([name, content]) => ({ name, content }));
  const start = 132 + 12 * entries.length;
  const table: number[] = [];
  const body: number[] = [];
  for (const { name, content } of entries) {
    table.push(...ascii(name), ...uint32(start + body.length), ...uint32(content.length));
    body.push(...content, ...Array.from({ length: -content.length & 3 }, () => 0));
  }
  const bytes = new Uint8Array([...Array.from({ length: 128 }, () => 0), ...uint32(entries.length), ...table, ...body]);
  bytes.set(uint32(bytes.length), 0);
  bytes.set([4, 0x20], 8);
  bytes.set(ascii(`mntr${space}XYZ `), 12);
  bytes.set(ascii("acsp"), 36);
  bytes.set(WHITE.flatMap(fixed), 68);
  return bytes;
}

function rgbProfile(name: string, primaries: readonly Xyz[], curve: readonly number[]): Uint8Array {
  const colors = ["r", "g", "b"].flatMap((letter, i) => [
    [`${letter}XYZ`, xyz(primaries[i]!)] as const,
    [`${letter}TRC`, curve] as const,
  ]);
  return profile({ desc: description(name), wtpt: xyz(WHITE), ...Object.fromEntries(colors) });
}

describe("what a profile contains decides", () => {
  test.each<[string, readonly number[]]>([
    ["a formula", exact],
    ["1024 samples", sampled(srgb, 1024)],
    ["few samples, as in minimal profiles", sampled(srgb, 26)],
  ])("sRGB by %s, under any name", (_, curve) => {
    for (const name of ["sRGB IEC61966-2.1", "c2", "Display P3", ""]) {
      expect(isSrgbProfile(rgbProfile(name, SRGB, curve))).toBe(true);
    }
  });

  test.each<[string, readonly Xyz[], readonly number[]]>([
    ["linear light", SRGB, linear],
    ["linear light as a formula", SRGB, parametric(0, 1)],
    ["gamma 1.8", SRGB, gamma(1.8)],
    ["gamma 2.2", SRGB, gamma(2.2)],
    ["primaries of Display P3", P3, exact],
    ["a curve that can't be read", SRGB, [...ascii("curv"), ...uint32(0), ...uint32(500)]],
    ["a formula that doesn't exist", SRGB, parametric(9, 1, 1, 1)],
  ])("%s isn't sRGB, whatever its name", (_, primaries, curve) => {
    expect(isSrgbProfile(rgbProfile("sRGB IEC61966-2.1", primaries, curve))).toBe(false);
  });

  test("grey by its curve; tables and other spaces never", () => {
    expect(isSrgbProfile(profile({ kTRC: exact }, "GRAY"))).toBe(true);
    expect(isSrgbProfile(profile({ kTRC: gamma(2.2) }, "GRAY"))).toBe(false);
    expect(isSrgbProfile(profile({ kTRC: exact }, "CMYK"))).toBe(false);
    const whole = rgbProfile("sRGB", SRGB, exact);
    expect(isSrgbProfile(whole)).toBe(true);
    const tags = Object.fromEntries(
      ["r", "g", "b"].flatMap((letter, i) => [
        [`${letter}XYZ`, xyz(SRGB[i]!)],
        [`${letter}TRC`, exact],
      ]),
    );
    expect(isSrgbProfile(profile({ ...tags, A2B0: [...ascii("mAB "), ...uint32(0)] }))).toBe(false);
  });

  test("damaged ones are no sRGB", () => {
    const whole = rgbProfile("sRGB", SRGB, sampled(srgb, 26));
    for (let length = 0; length < whole.length - 3; length++) {
      expect(isSrgbProfile(whole.subarray(0, length))).toBe(false);
    }
    for (let entry = 132; entry < 132 + 12 * 8; entry += 12) {
      const lying = whole.slice();
      lying.set(uint32(0xfffffff0), entry + 8);
      expect(isSrgbProfile(lying)).toBe(false);
    }
  });
});

test("a linear profile that is called sRGB is converted", async () => {
  const grey = createImage(4, 4, [127, 128, 55]);
  const png = await sharp(grey.data, { raw: { width: 4, height: 4, channels: 3 } })
    .png()
    .toBuffer();
  const named = rgbProfile("GIMP built-in Linear sRGB", SRGB, parametric(0, 1));
  const content = Buffer.concat([Buffer.from("icc\0\0", "latin1"), deflateSync(named)]);
  const chunk = Buffer.concat([Buffer.from(uint32(content.length)), Buffer.from("iCCP"), content]);
  const sum = Buffer.from(uint32(crcOf(chunk.subarray(4))));
  // Behind the signature and IHDR.
  const bytes = Buffer.concat([png.subarray(0, 33), chunk, sum, png.subarray(33)]);
  const image = await decodeImage(bytes);
  const expected = [...grey.data.subarray(0, 3)].map((level) => {
    const light = level / 255;
    return 255 * (1.055 * light ** (1 / 2.4) - 0.055);
  });
  for (const [c, value] of expected.entries()) expect(Math.abs(image.data[c]! - value)).toBeLessThanOrEqual(1);
  expect((await decodeImage(bytes, { colorProfile: "ignore" })).data).toEqual(grey.data);
});

function crcOf(bytes: Uint8Array): number {
  let value = 0xffffffff;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  }
  return (value ^ 0xffffffff) >>> 0;
}

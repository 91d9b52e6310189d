/** Procedural scenes: fixed pixels, the same composition at every size, rich content, classes that differ. */
import { createHash } from "node:crypto";
import { ConfigError, ShapeError } from "@dcae/core/graph";
import { type Image, psnr, resizeImage } from "@dcae/core/image";
import { describe, expect, test } from "vitest";
import { drawScene, SCENE_CLASSES } from "../../src/scenes/draw-scene.js";
import { noise } from "../../src/scenes/noise.js";
import { createRelief, relief } from "../../src/scenes/relief.js";

const digest = (image: Image) => createHash("sha256").update(image.data).digest("hex").slice(0, 16);

test("labels of classes are stable", () => {
  expect(SCENE_CLASSES).toEqual([
    "city",
    "dunes",
    "fabric",
    "flowers",
    "forest",
    "mountains",
    "page",
    "pebbles",
    "planet",
    "seascape",
    "still-life",
    "wall",
  ]);
});

// Interpreter and optimizing compiler agree on these; another platform must too. A change of a painter changes them.
test.each(Object.entries(digests()))("%s has the same bytes everywhere", (kind, expected) => {
  const options = { width: 72, height: 48, seed: 7, kind: kind as (typeof SCENE_CLASSES)[number] };
  expect(digest(drawScene(options))).toBe(expected);
});

function digests(): Record<string, string> {
  return {
    city: "02b04644586db7be",
    dunes: "37dba6d10183544d",
    fabric: "0efa7765262b096d",
    flowers: "01fe657779b1347e",
    forest: "c16f0e73cd825d71",
    mountains: "de3647445ab504de",
    page: "3673b0279d988cf8",
    pebbles: "2aac7cd7608eeaba",
    planet: "1f7e192e8de572d8",
    seascape: "0b9319bb325b0808",
    "still-life": "cb90e0f3f144d88d",
    wall: "d0647d65b2fa5cf9",
  };
}

describe.each(SCENE_CLASSES)("%s", (kind) => {
  const large = drawScene({ width: 128, height: 128, seed: 11, kind });

  test("a size of its own is the same scene", () => {
    const small = drawScene({ width: 64, height: 64, seed: 11, kind });
    // Stars and letters are thinner than a pixel there, so they set the bound.
    expect(psnr(resizeImage(large, 64, 64, "box"), small)).toBeGreaterThan(14);
    const other = drawScene({ width: 64, height: 64, seed: 12, kind });
    expect(psnr(resizeImage(large, 64, 64, "box"), other)).toBeLessThan(psnr(resizeImage(large, 64, 64, "box"), small));
  });

  test("it has contrast, colors, and detail at three scales", () => {
    const { data } = large;
    const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
    const deviation = Math.sqrt(data.reduce((sum, value) => sum + (value - mean) ** 2, 0) / data.length);
    expect(deviation).toBeGreaterThan(20);
    expect(mean).toBeGreaterThan(15);
    expect(mean).toBeLessThan(230);
    const colors = new Set(Array.from({ length: 128 * 128 }, (_, i) => data.subarray(3 * i, 3 * i + 3).join()));
    // Paper and ink have the fewest.
    expect(colors.size).toBeGreaterThan(1000);
    for (const size of [128, 32, 8]) {
      const scaled = resizeImage(large, size, size, "box");
      let difference = 0;
      for (let i = 3; i < scaled.data.length; i++) difference += Math.abs(scaled.data[i]! - scaled.data[i - 3]!);
      expect(difference / scaled.data.length).toBeGreaterThan(1.5);
    }
  });

  test.each([
    [1, 1],
    [1, 40],
    [40, 1],
    [90, 30],
    [30, 90],
  ])("%ix%i", (width, height) => {
    const image = drawScene({ width, height, seed: 2n ** 63n, kind });
    expect(image.data).toHaveLength(width * height * 3);
  });
});

test("the seed decides the class when none is given, and every class comes up", () => {
  const same = drawScene({ width: 16, height: 16, seed: 5 });
  const matches = SCENE_CLASSES.filter(
    (kind) => digest(drawScene({ width: 16, height: 16, seed: 5, kind })) === digest(same),
  );
  expect(matches).toHaveLength(1);
  const found = new Set<string>();
  for (let seed = 0; seed < 100; seed++) {
    const image = digest(drawScene({ width: 2, height: 2, seed }));
    for (const kind of SCENE_CLASSES)
      if (digest(drawScene({ width: 2, height: 2, seed, kind })) === image) found.add(kind);
  }
  expect(found.size).toBe(SCENE_CLASSES.length);
});

test("invalid options", () => {
  expect(() => drawScene({ width: 0, height: 4, seed: 1 })).toThrow(ShapeError);
  expect(() => drawScene({ width: 4, height: 2.5, seed: 1 })).toThrow(ShapeError);
  expect(() => drawScene({ width: 4, height: 4, seed: -1 })).toThrow(ConfigError);
  expect(() => drawScene({ width: 4, height: 4, seed: 1, kind: "opera" as "city" })).toThrow(
    /unknown class "opera".*city/,
  );
  expect(() => drawScene({ width: 4, height: 4, seed: 1, kind: "toString" as "city" })).toThrow(ConfigError);
});

test("noise is continuous, centered and within bounds", () => {
  let sum = 0;
  for (let i = 0; i < 20_000; i++) {
    const [x, y] = [i * 0.317, i * 0.0713 - 300];
    const value = noise(x, y, 9);
    expect(Math.abs(value)).toBeLessThan(1.4);
    expect(Math.abs(noise(x + 1e-6, y, 9) - value)).toBeLessThan(2e-5);
    sum += value;
  }
  expect(Math.abs(sum / 20_000)).toBeLessThan(0.02);
});

test("slopes of reliefs are derivatives", () => {
  const at = createRelief();
  const beside = createRelief();
  const h = 1e-5;
  for (let i = 0; i < 200; i++) {
    const [x, y] = [i * 1.137, i * -0.713];
    relief(x, y, 4, 3, 0.5, 0, at);
    relief(x + h, y, 4, 3, 0.5, 0, beside);
    expect(Math.abs((beside.height - at.height) / h - at.slopeX)).toBeLessThan(2e-3);
    relief(x, y + h, 4, 3, 0.5, 0, beside);
    expect(Math.abs((beside.height - at.height) / h - at.slopeY)).toBeLessThan(2e-3);
  }
});

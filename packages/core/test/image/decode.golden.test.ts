/** Files of every kind read as Pillow's `open(file).convert("RGB")` reads them. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { decodeImage, PILLOW_DECODE } from "../../src/image/decode-image.node.js";
import { goldenImagePath, goldenImages } from "./golden-image.js";

const golden = await goldenImages("pillow-decode");

test.each(golden.names)("%s is byte-equal under PILLOW_DECODE", async (file) => {
  const image = await decodeImage(goldenImagePath(file), PILLOW_DECODE);
  expect(image).toEqual(golden.image(file));
});

const formats = JSON.parse(readFileSync(goldenImagePath("pillow-formats.json"), "utf8")) as {
  readonly cases: readonly { name: string; width: number; height: number; file: string; rgb: string }[];
};

test.each(formats.cases)("$name as Pillow reads it", async ({ width, height, file, rgb }) => {
  const image = await decodeImage(Buffer.from(file, "base64"), PILLOW_DECODE);
  expect([image.width, image.height]).toEqual([width, height]);
  expect(Buffer.from(image.data)).toEqual(Buffer.from(rgb, "base64"));
});

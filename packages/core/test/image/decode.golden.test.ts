/** Files of every kind read as Pillow's `open(file).convert("RGB")` reads them. */
import { expect, test } from "vitest";
import { decodeImage } from "../../src/image/decode-image.node.js";
import { PILLOW_DECODE } from "../../src/image/decode-options.js";
import { goldenImagePath, goldenImages } from "./golden-image.js";

const golden = await goldenImages("pillow-decode");
const files = [
  "animated.gif",
  "bilevel.png",
  "cmyk.jpg",
  "cmyk.tif",
  "gray-alpha.png",
  "gray.jpg",
  "lossless.webp",
  "palette-transparent.png",
  "palette.png",
  "rgb-420.jpg",
  "rgb.jpg",
  "rgba.png",
];

test.each(files)("%s is byte-equal under PILLOW_DECODE", async (file) => {
  const image = await decodeImage(goldenImagePath(file), PILLOW_DECODE);
  expect([image.width, image.height]).toEqual([24, 24]);
  expect(image.data).toEqual(golden.image(file).data);
});

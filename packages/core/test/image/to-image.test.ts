/** Pictures on their way out: pixels and files in memory. */
import { expect, test } from "vitest";
import { ConfigError, DataError, ShapeError } from "../../src/errors.js";
import { Tensor } from "../../src/graph/tensor.js";
import { createImage, decodeImage, imageToTensor, toBlob, toImage } from "../../src/image/index.js";

const image = createImage(
  2,
  2,
  Uint8Array.from({ length: 12 }, (_, i) => i * 20),
);
const tensor = imageToTensor(image);

test("pixels of a tensor, of three axes as well, and of pixels", () => {
  expect(toImage(tensor)).toEqual(image);
  expect(toImage(tensor.row(0))).toEqual(image);
  expect(toImage(image)).toEqual(image);
  expect(toImage({ width: 1, height: 1, data: Uint8Array.of(1, 2, 3, 255) }).data).toEqual(Uint8Array.of(1, 2, 3));
});

test("a file in memory", async () => {
  const png = await toBlob(tensor);
  expect(png.type).toBe("image/png");
  expect(await decodeImage(png)).toEqual(image);
  const [small, large] = await Promise.all([10, 100].map((quality) => toBlob(image, { type: "image/jpeg", quality })));
  expect(small?.type).toBe("image/jpeg");
  expect(small?.size).toBeLessThan(large?.size as number);
});

test("what can't be had", async () => {
  expect(() => toImage(Tensor.zeros([2, 3, 1, 1]))).toThrow(ShapeError);
  expect(() => toImage(5 as never)).toThrow(DataError);
  expect(() => toImage(image, { rounding: "half-even" })).toThrow(ConfigError);
  await expect(toBlob(image, { type: "image/bmp" as never })).rejects.toThrow(/type "image\/bmp" is unknown/);
  await expect(toBlob(image, { quality: 50 })).rejects.toThrow(/no effect on image\/png/);
  await expect(toBlob(image, { type: "image/webp", quality: 0.9 })).rejects.toThrow(/integer from 1 to 100/);
  await expect(toBlob(image, { mime: "image/png" } as object)).rejects.toThrow(/unknown option "mime"/);
});

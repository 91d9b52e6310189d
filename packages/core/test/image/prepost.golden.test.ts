/** Cropping, scaling of values and PSNR against the reference code: exact, since all of it is. */
import { expect, test } from "vitest";
import { Tensor } from "../../src/graph/tensor.js";
import { psnr } from "../../src/image/compare-images.js";
import { dmCrop } from "../../src/image/fit-to-multiple.js";
import { createImage, type Image, imageToTensor, type Rounding, tensorToImages } from "../../src/image/image.js";
import { goldenImages } from "./golden-image.js";

interface CropCase {
  readonly name: string;
  readonly size: number | [number, number];
}

const prepost = await goldenImages<{ dmcrop: CropCase[] }>("prepost");
const crops = await goldenImages<{ config: { cases: (CropCase & { h: number; w: number; seed: number })[] } }>(
  "dm-crop",
);

test.each(prepost.info.dmcrop)("dmCrop $name is byte-equal", ({ name, size }) => {
  const cropped = dmCrop(prepost.image(`in.${name}`), size);
  const expected = prepost.image(`out.${name}`);
  expect([cropped.width, cropped.height]).toEqual([expected.width, expected.height]);
  expect(cropped.data).toEqual(expected.data);
});

test.each(crops.info.config.cases)("dmCrop of a formula image, $name", ({ name, h, w, seed, size }) => {
  const image = createImage(w, h);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      for (let c = 0; c < 3; c++) {
        const value = x * (3 + c) + y * (5 + 2 * c) + Math.floor((x * y) / 8) * (c + 1) + 37 * seed + 61 * c;
        image.data[(y * w + x) * 3 + c] = value % 256;
      }
    }
  }
  const cropped = dmCrop(image, size);
  const planes = crops.tensor(`out.${name}`);
  expect([3, cropped.height, cropped.width]).toEqual(planes.shape);
  expect(cropped.data).toEqual(planes.transpose([1, 2, 0]).data);
});

test("all 256 values normalize to the reference's bits", () => {
  const levels = prepost.tensor("in.u8").data as Uint8Array;
  // One row of pixels whose channels are all the level.
  const image = createImage(
    levels.length,
    1,
    Uint8Array.from({ length: levels.length * 3 }, (_, i) => levels[Math.floor(i / 3)]!),
  );
  const planes = imageToTensor(image);
  const expected = prepost.tensor("out.normalized").data;
  for (let channel = 0; channel < 3; channel++) {
    expect(planes.row(0).row(channel).data).toEqual(expected);
  }
});

test.each<[Rounding, string]>([
  ["truncate-half-up", "out.u8_from_decoded"],
  ["half-even", "out.u8_diffusers_postprocess"],
])("decoded values become the reference's 8 bits: %s", (rounding, name) => {
  const values = prepost.tensor("in.decoded").data as Float32Array;
  const planes = new Float32Array(values.length * 3);
  for (let channel = 0; channel < 3; channel++) planes.set(values, channel * values.length);
  const [image] = tensorToImages(Tensor.float32(planes, [1, 3, 1, values.length]), { rounding });
  const expected = prepost.tensor(name).data as Uint8Array;
  expect(image!.data).toEqual(Uint8Array.from({ length: expected.length * 3 }, (_, i) => expected[Math.floor(i / 3)]!));
});

test("psnr equals the reference's", () => {
  const images = (name: string): Image[] => {
    const batch = prepost.tensor(name);
    const [count, , height, width] = batch.shape as [number, number, number, number];
    return Array.from({ length: count }, (_, i) =>
      createImage(width, height, batch.row(i).transpose([1, 2, 0]).data as Uint8Array),
    );
  };
  const references = images("in.psnr_ref");
  const values = images("in.psnr_pred").map((image, i) => psnr(references[i]!, image));
  const expected = prepost.tensor("out.psnr").data as Float32Array;
  values.forEach((value, i) => {
    if (Number.isFinite(expected[i])) expect(Math.abs(value - expected[i]!)).toBeLessThan(1e-6 * expected[i]!);
    else expect(value).toBe(expected[i]);
  });
});

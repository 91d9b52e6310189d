/** Laws of resizing, cropping, padding and conversion that hold for every picture. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { createRandom } from "../../src/graph/random.js";
import { Tensor } from "../../src/graph/tensor.js";
import {
  centerCropToMultiple,
  dmCrop,
  fitToMultiple,
  reflectPad,
  SIZE_POLICIES,
  topLeftCropToMultiple,
} from "../../src/image/fit-to-multiple.js";
import {
  createImage,
  cropImage,
  type Image,
  imagesToTensor,
  imageToTensor,
  tensorToImages,
} from "../../src/image/image.js";
import {
  RESAMPLE_KERNELS,
  type ResampleFilter,
  resampleWeights,
  resizeImage,
  resizePlanes,
  resizeRegion,
} from "../../src/image/resize-image.js";

const run = { seed: 4321, numRuns: 150 };
const side = fc.integer({ min: 1, max: 40 });
const filter = fc.constantFrom(...(Object.keys(RESAMPLE_KERNELS) as ResampleFilter[]));
/** Kernels without negative lobes: no clamping between the passes. */
const averaging = fc.constantFrom<ResampleFilter>("box", "bilinear", "hamming");
const picture = fc.tuple(side, side, fc.nat(1000)).map(([width, height, seed]): Image => {
  const random = createRandom(seed);
  return createImage(
    width,
    height,
    new Uint8Array(width * height * 3).map(() => random.nextInteger(256)),
  );
});
const planes = (height: number, width: number, count = 1): Tensor<"float32"> =>
  Tensor.float32(createRandom(height * 100 + width).normal(new Float32Array(count * height * width)), [
    1,
    count,
    height,
    width,
  ]);

test("resampling weights of each output sum to 1 and stay inside", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 300 }), filter, (from, to, name) => {
      const { taps, first, count, weights } = resampleWeights(from, to, name);
      for (let i = 0; i < to; i++) {
        let sum = 0;
        for (let j = 0; j < taps; j++) sum += weights[i * taps + j]!;
        expect(Math.abs(sum - 1)).toBeLessThan(1e-12);
        expect(first[i]).toBeGreaterThanOrEqual(0);
        expect(count[i]).toBeGreaterThan(0);
        expect(first[i]! + count[i]!).toBeLessThanOrEqual(from);
      }
    }),
    run,
  );
});

test("the same size is the same picture", () => {
  fc.assert(
    fc.property(picture, filter, (image, name) => {
      expect(resizeImage(image, image.width, image.height, name)).toBe(image);
    }),
    run,
  );
});

test("a region of a resized picture is what a crop of it would be", () => {
  const place = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }));
  fc.assert(
    fc.property(picture, side, side, place, place, filter, (image, width, height, across, down, name) => {
      const span = ([a, b]: readonly [number, number], length: number) => {
        const start = Math.min(Math.floor(a * length), length - 1);
        return [start, 1 + Math.floor(b * (length - start - 1))] as const;
      };
      const [[left, regionWidth], [top, regionHeight]] = [span(across, width), span(down, height)];
      const region = { left, top, width: regionWidth, height: regionHeight };
      const cropped = cropImage(resizeImage(image, width, height, name), left, top, regionWidth, regionHeight);
      const direct = resizeRegion(image, width, height, region, name);
      expect([direct.width, direct.height]).toEqual([regionWidth, regionHeight]);
      expect(direct.data).toEqual(cropped.data);
    }),
    run,
  );
  const image = createImage(8, 8);
  for (const region of [
    { left: 0, top: 0, width: 5, height: 1 },
    { left: -1, top: 0, width: 1, height: 1 },
    { left: 0, top: 0, width: 1, height: 0 },
    { left: 0.5, top: 0, width: 1, height: 1 },
  ]) {
    expect(() => resizeRegion(image, 4, 4, region)).toThrow(/resizeRegion: .* isn't inside of a picture of 4x4/);
  }
});

test("halving even sides by boxes is the two passes of means", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 20 }),
      fc.nat(1000),
      (width, height, seed) => {
        const random = createRandom(seed);
        const bytes = new Uint8Array(width * height * 12).map(() => random.nextInteger(256));
        const image = createImage(2 * width, 2 * height, bytes);
        // One axis at a time takes the way of every other size.
        const steps = resizeImage(resizeImage(image, width, 2 * height, "box"), width, height, "box");
        expect(resizeImage(image, width, height, "box").data).toEqual(steps.data);
      },
    ),
    run,
  );
});

test("a flat color stays flat at every size", () => {
  fc.assert(
    fc.property(side, side, side, side, fc.nat(255), filter, (w, h, toW, toH, level, name) => {
      const resized = resizeImage(createImage(w, h, [level, 255 - level, 7]), toW, toH, name);
      expect(resized.data).toEqual(createImage(toW, toH, [level, 255 - level, 7]).data);
    }),
    run,
  );
});

test("resizing commutes with transposing", () => {
  const transpose = (image: Image): Image => {
    const out = createImage(image.height, image.width);
    for (let y = 0; y < image.height; y++) {
      for (let x = 0; x < image.width; x++) {
        for (let c = 0; c < 3; c++) out.data[(x * out.width + y) * 3 + c] = image.data[(y * image.width + x) * 3 + c]!;
      }
    }
    return out;
  };
  fc.assert(
    fc.property(picture, side, side, averaging, (image, width, height, name) => {
      const plain = resizeImage(image, width, height, name);
      const swapped = transpose(resizeImage(transpose(image), height, width, name));
      // Each is within one of the exact value: half a level per rounding pass.
      for (let i = 0; i < plain.data.length; i++)
        expect(Math.abs(plain.data[i]! - swapped.data[i]!)).toBeLessThanOrEqual(2);
    }),
    run,
  );
});

test("float resizing follows 8-bit resizing within its rounding and clamping", () => {
  fc.assert(
    fc.property(
      picture,
      side,
      side,
      fc.constantFrom<ResampleFilter>("box", "bilinear"),
      (image, width, height, name) => {
        const resized = resizeImage(image, width, height, name);
        const red = Float32Array.from({ length: image.width * image.height }, (_, i) => image.data[i * 3]!);
        const float = resizePlanes(Tensor.float32(red, [image.height, image.width]), width, height, name);
        expect(float.shape).toEqual([height, width]);
        const values = float.data as Float32Array;
        values.forEach((value, i) => {
          expect(Math.abs(value - resized.data[i * 3]!)).toBeLessThanOrEqual(1.01);
        });
      },
    ),
    run,
  );
});

test("dmCrop always has the target size", () => {
  fc.assert(
    fc.property(picture, side, side, (image, height, width) => {
      const cropped = dmCrop(image, [height, width]);
      expect([cropped.height, cropped.width]).toEqual([height, width]);
      expect(dmCrop(cropped, [height, width])).toBe(cropped);
    }),
    run,
  );
});

test("crops to a multiple are the largest inside, where they should be", () => {
  fc.assert(
    fc.property(picture, fc.integer({ min: 1, max: 8 }), (image, multiple) => {
      fc.pre(image.width >= multiple && image.height >= multiple);
      const width = Math.floor(image.width / multiple) * multiple;
      const height = Math.floor(image.height / multiple) * multiple;
      expect(topLeftCropToMultiple(image, multiple)).toEqual(cropImage(image, 0, 0, width, height));
      const [left, top] = [Math.floor((image.width - width) / 2), Math.floor((image.height - height) / 2)];
      expect(centerCropToMultiple(image, multiple)).toEqual(cropImage(image, left, top, width, height));
    }),
    run,
  );
});

test("padding reflects: distance beyond an edge is distance inside, back and forth", () => {
  const bounce = (position: number, length: number): number => {
    let at = position;
    while (length > 1 && (at < 0 || at >= length)) at = at < 0 ? -at : 2 * (length - 1) - at;
    return length === 1 ? 0 : at;
  };
  const amount = fc.nat(25);
  const small = fc.integer({ min: 1, max: 9 });
  fc.assert(
    fc.property(small, small, amount, amount, amount, amount, (height, width, top, bottom, left, right) => {
      const source = planes(height, width, 2);
      const padded = reflectPad(source, { top, bottom, left, right });
      expect(padded.shape).toEqual([1, 2, top + height + bottom, left + width + right]);
      for (let y = 0; y < padded.shape[2]!; y++) {
        for (let x = 0; x < padded.shape[3]!; x++) {
          const expected = source.at(0, 1, bounce(y - top, height), bounce(x - left, width));
          if (padded.at(0, 1, y, x) !== expected) expect.fail(`row ${y}, column ${x}`);
        }
      }
    }),
    run,
  );
});

test("fitToMultiple gives multiples, and padding is undone exactly", () => {
  fc.assert(
    fc.property(side, side, fc.integer({ min: 1, max: 16 }), fc.constantFrom(...SIZE_POLICIES), (h, w, f, policy) => {
      const divides = h % f === 0 && w % f === 0;
      fc.pre(divides || policy === "reflect-pad" || (policy !== "error" && h >= f && w >= f));
      const source = planes(h, w, 3);
      const { tensor, restore } = fitToMultiple(source, f, policy);
      const [, , height, width] = tensor.shape as [number, number, number, number];
      expect([height % f, width % f]).toEqual([0, 0]);
      expect(Math.abs(height - h)).toBeLessThan(f);
      const restored = restore(tensor);
      if (policy === "reflect-pad") {
        expect(restored.shape).toEqual(source.shape);
        expect(restored.data).toEqual(source.data);
      } else {
        const top = policy === "center-crop" ? Math.floor((h - height) / 2) : 0;
        const left = policy === "center-crop" ? Math.floor((w - width) / 2) : 0;
        const rows = { start: top, stop: top + height };
        const columns = { start: left, stop: left + width };
        expect(restored.data).toEqual(source.slice([undefined, undefined, rows, columns]).data);
      }
    }),
    run,
  );
});

test("pictures survive the way to tensors and back, by both roundings", () => {
  fc.assert(
    fc.property(picture, fc.constantFrom("truncate-half-up", "half-even" as const), (image, rounding) => {
      const mirrored = { ...image, data: image.data.slice().reverse() };
      const batch = imagesToTensor([image, mirrored]);
      expect(batch.shape).toEqual([2, 3, image.height, image.width]);
      expect(tensorToImages(batch, { rounding: rounding as "half-even" })).toEqual([image, mirrored]);
      expect(batch.row(0).data).toEqual(imageToTensor(image).data);
    }),
    run,
  );
});

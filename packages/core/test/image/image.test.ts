/** Values and errors of the functions on pictures in memory. */
import { describe, expect, test } from "vitest";
import { ConfigError, DataError, ShapeError } from "../../src/errors.js";
import { Tensor } from "../../src/graph/tensor.js";
import { differenceMap, makeGrid, psnr, sideBySide } from "../../src/image/compare-images.js";
import { centerCropToMultiple, dmCrop, fitToMultiple, reflectPad } from "../../src/image/fit-to-multiple.js";
import {
  BLACK,
  createImage,
  cropImage,
  imageFromRgba,
  imagesToTensor,
  imageToTensor,
  tensorToImage,
  tensorToImages,
  WHITE,
} from "../../src/image/image.js";
import { resizeImage, resizePlanes } from "../../src/image/resize-image.js";

const red = createImage(2, 1, [255, 0, 0]);
const blue = createImage(1, 2, [0, 0, 255]);

test("createImage fills, keeps data, and checks sizes", () => {
  expect([...red.data]).toEqual([255, 0, 0, 255, 0, 0]);
  const data = new Uint8Array(6);
  expect(createImage(1, 2, data).data).toBe(data);
  expect(() => createImage(1, 2, new Uint8Array(5))).toThrow(/1x2 RGB needs 6 bytes, but the data has 5/);
  for (const size of [0, -1, 1.5, Number.NaN]) expect(() => createImage(size, 1)).toThrow(ShapeError);
});

test("imageFromRgba drops alpha or composites", () => {
  const rgba = { width: 2, height: 1, data: Uint8ClampedArray.of(10, 20, 30, 0, 100, 100, 100, 51) };
  expect([...imageFromRgba(rgba).data]).toEqual([10, 20, 30, 100, 100, 100]);
  expect([...imageFromRgba(rgba, WHITE).data]).toEqual([255, 255, 255, 224, 224, 224]);
  expect([...imageFromRgba(rgba, BLACK).data]).toEqual([0, 0, 0, 20, 20, 20]);
  expect(() => imageFromRgba({ ...rgba, width: 3 })).toThrow(DataError);
});

test("tensors are planar, red first", () => {
  const image = createImage(2, 1, Uint8Array.of(0, 255, 0, 255, 0, 0));
  const tensor = imageToTensor(image);
  expect(tensor.shape).toEqual([1, 3, 1, 2]);
  expect([...tensor.data]).toEqual([-1, 1, 1, -1, -1, -1]);
  expect(() => imagesToTensor([red, blue])).toThrow(/image 1 is 1x2, but image 0 is 2x1/);
  expect(() => imagesToTensor([])).toThrow(ShapeError);
});

test("tensorToImages clamps, reads any float dtype and strided views", () => {
  const tensor = Tensor.float32([-1.5, 1.5, 0, 2, -2, 1 / 255], [1, 3, 1, 2]);
  expect([...tensorToImage(tensor).data]).toEqual([0, 128, 0, 255, 255, 128]);
  expect(tensorToImage(tensor.cast("float64")).data).toEqual(tensorToImage(tensor).data);
  const flipped = tensor.transpose([0, 1, 3, 2]);
  expect(tensorToImage(flipped)).toMatchObject({ width: 1, height: 2 });
  expect(() => tensorToImage(Tensor.zeros([2, 3, 1, 1]))).toThrow(/tensorToImages for a batch|\[2, 3, 1, 1\]/);
  expect(() => tensorToImages(Tensor.full([1, 3, 1, 1], Number.NaN))).toThrow(DataError);
});

describe("sizes that don't divide", () => {
  const tensor = Tensor.zeros([1, 3, 33, 70]);
  test("error", () => {
    expect(() => fitToMultiple(tensor, 32, "error")).toThrow(/70x33 isn't a multiple of 32/);
  });
  test("crop of a picture smaller than the multiple", () => {
    expect(() => fitToMultiple(tensor, 64, "center-crop")).toThrow(DataError);
    expect(() => centerCropToMultiple(red, 2)).toThrow(/2x1 is smaller than 2x2/);
  });
  test("padding works for a picture smaller than the multiple", () => {
    const { tensor: padded, restore } = fitToMultiple(
      Tensor.float32([1, 2, 3, 4, 5, 6], [1, 3, 1, 2]),
      4,
      "reflect-pad",
    );
    expect(padded.shape).toEqual([1, 3, 4, 4]);
    expect([...padded.row(0).row(0).row(3).data]).toEqual([1, 2, 1, 2]);
    expect([...restore(padded).data]).toEqual([1, 2, 3, 4, 5, 6]);
  });
  test("a size that fits is untouched by every policy", () => {
    for (const policy of ["error", "center-crop", "top-left-crop", "reflect-pad"] as const) {
      expect(fitToMultiple(tensor, 1, policy).tensor).toBe(tensor);
    }
  });
  test("restore refuses another size", () => {
    const { restore } = fitToMultiple(tensor, 32, "reflect-pad");
    expect(() => restore(Tensor.zeros([1, 3, 32, 64]))).toThrow(/expected a tensor \[\.\.\., 64, 96\]/);
  });
  test("misuse", () => {
    expect(() => fitToMultiple(Tensor.zeros([3, 4, 4]), 2, "error")).toThrow(ShapeError);
    expect(() => fitToMultiple(tensor, 0, "error")).toThrow(ShapeError);
    expect(() => fitToMultiple(tensor, 2, "stretch" as never)).toThrow(ConfigError);
  });
});

test("reflection doesn't repeat the edge", () => {
  const row = Tensor.float32([0, 1, 2], [1, 3]);
  expect([...reflectPad(row, { left: 2, right: 3 }).data]).toEqual([2, 1, 0, 1, 2, 1, 0, 1]);
  expect(() => reflectPad(row, { left: -1 })).toThrow(ShapeError);
  expect(() => reflectPad(Tensor.zeros([0, 3]), {})).toThrow(ShapeError);
});

test("psnr: identical is infinite, one level everywhere is 48.13 dB, sizes must agree", () => {
  expect(psnr(red, red)).toBe(Number.POSITIVE_INFINITY);
  expect(psnr(createImage(5, 5, [9, 9, 9]), createImage(5, 5, [8, 10, 8]))).toBeCloseTo(20 * Math.log10(255), 12);
  expect(psnr(createImage(5, 5, BLACK), createImage(5, 5, WHITE))).toBe(0);
  expect(() => psnr(red, blue)).toThrow(ShapeError);
});

test("sideBySide centers lower pictures between gaps", () => {
  const strip = sideBySide([red, blue], 1, [7, 7, 7]);
  expect([strip.width, strip.height]).toEqual([4, 2]);
  const pixel = (x: number, y: number) => [...strip.data.subarray((y * 4 + x) * 3).subarray(0, 3)];
  expect(pixel(0, 0)).toEqual([255, 0, 0]);
  expect(pixel(0, 1)).toEqual([7, 7, 7]);
  expect(pixel(2, 0)).toEqual([7, 7, 7]);
  expect(pixel(3, 1)).toEqual([0, 0, 255]);
});

test("makeGrid lays out rows of cells", () => {
  const grid = makeGrid([red, red, blue], { columns: 2, padding: 1, background: BLACK });
  expect([grid.width, grid.height]).toEqual([2 * 3 + 1, 2 * 3 + 1]);
  expect(makeGrid([red, red, red, red, red], { padding: 0 })).toMatchObject({ width: 6, height: 2 });
  expect(makeGrid([red], { columns: 10, padding: 0 }).data).toEqual(red.data);
  for (const options of [{ columns: 0 }, { columns: 1.5 }, { padding: -1 }]) {
    expect(() => makeGrid([red], options)).toThrow(ConfigError);
  }
  expect(() => makeGrid([])).toThrow(ShapeError);
  expect(() => sideBySide([])).toThrow(ShapeError);
});

test("differenceMap is black where equal and white where far off, rising in between", () => {
  const gray = (level: number) => createImage(1, 1, [level, level, level]);
  const heat = (level: number) => [...differenceMap(gray(100), gray(100 + level)).data];
  expect(heat(0)).toEqual([0, 0, 0]);
  expect(heat(64)).toEqual([255, 255, 220]);
  const luminance = [0, 8, 16, 32, 48, 64].map((level) => {
    const [r, g, b] = heat(level) as [number, number, number];
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  });
  expect(luminance).toEqual([...luminance].sort((a, b) => a - b));
  expect(() => differenceMap(red, blue)).toThrow(ShapeError);
});

test("sizes are checked", () => {
  expect(() => resizeImage(red, 0, 1)).toThrow(ShapeError);
  expect(() => resizePlanes(Tensor.zeros([2, 2]), 1.5, 1)).toThrow(ShapeError);
  expect(() => resizePlanes(Tensor.zeros([2]), 1, 1)).toThrow(ShapeError);
  expect(() => dmCrop(red, 0)).toThrow(ShapeError);
  expect(() => cropImage(red, 1, 0, 2, 1)).toThrow(/2x1 at \(1, 0\) isn't inside of a picture of 2x1/);
});

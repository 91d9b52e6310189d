/** What encoders take as pictures: layout, type and range, before anything is computed. */
import { expect, it } from "vitest";
import { checkPicture, checkPictures } from "../../src/autoencoders/check-tensors.js";
import { DataError, ShapeError } from "../../src/errors.js";
import { Tensor } from "../../src/graph/tensor.js";

const check = (x: Tensor) => () => checkPictures(x, "encode", 3);
const ofValues = (...values: number[]) =>
  Tensor.float32(
    Float32Array.from({ length: 48 }, (_, i) => values[i % values.length] as number),
    [3, 4, 4],
  );

it("values far outside of [-1, 1] are refused with their range and how to convert them", () => {
  expect(check(ofValues(0, 255))).toThrow(DataError);
  expect(check(ofValues(0, 255))).toThrow("encode: pictures have values in [-1, 1], these reach from 0 to 255");
  expect(() => checkPicture(ofValues(3, -20), 3, 4)).toThrow("these reach from -20 to 3");
  expect(check(ofValues(-4, 4.5))().shape).toEqual([1, 3, 4, 4]);
  // Where these come from is looked for after the computation, in the weights too.
  expect(check(ofValues(Number.NaN, Number.POSITIVE_INFINITY, 1))().shape).toEqual([1, 3, 4, 4]);
});

it("channels that stand last are named", () => {
  expect(check(Tensor.zeros([2, 4, 4, 3]))).toThrow(ShapeError);
  expect(check(Tensor.zeros([2, 4, 4, 3]))).toThrow(/got \[2, 4, 4, 3\], with the channels last/);
  expect(check(Tensor.zeros([4, 4, 3]))).toThrow(expect.objectContaining({ hint: expect.stringContaining("2, 0, 1") }));
  expect(check(Tensor.zeros([2, 4, 4, 5]))).toThrow(/got \[2, 4, 4, 5\]$/);
});

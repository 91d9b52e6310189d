import { expect, it } from "vitest";
import { Tensor } from "../../src/graph/tensor.js";

it("prints scalars, vectors and matrices with aligned columns", () => {
  expect(String(Tensor.from(1.5))).toBe("tensor(1.5000, shape=[], dtype=float32)");
  expect(String(Tensor.from([1, -2]))).toBe("tensor([ 1.0000, -2.0000], shape=[2], dtype=float32)");
  expect(
    String(
      Tensor.from([
        [1, 2],
        [3, 10],
      ]).cast("int32"),
    ),
  ).toBe("tensor([[ 1,  2],\n        [ 3, 10]], shape=[2, 2], dtype=int32)");
});

it("separates matrices of a stack by a blank line", () => {
  expect(String(Tensor.from([[[1]], [[2]]]).cast("uint8"))).toBe(
    "tensor([[[1]],\n\n        [[2]]], shape=[2, 1, 1], dtype=uint8)",
  );
});

it("prints special values, booleans, 64-bit integers and narrow floats", () => {
  const text = String(Tensor.from([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e-9, 2e6]));
  for (const part of ["nan", "inf", "-inf", "1.0000e-9", "2.0000e+6"]) expect(text).toContain(part);
  expect(String(Tensor.from([0, 2]).cast("bool"))).toContain("[false,  true]");
  expect(String(new Tensor("int64", BigInt64Array.of(-(2n ** 60n)), [1]))).toContain("[-1152921504606846976]");
  expect(String(Tensor.from([0.5]).cast("bfloat16"))).toContain("[0.5000]");
});

it("prints empty tensors", () => {
  expect(String(Tensor.zeros([0]))).toBe("tensor([], shape=[0], dtype=float32)");
  expect(String(Tensor.zeros([2, 0]))).toContain("shape=[2, 0]");
});

it("cuts large tensors and keeps the edges", () => {
  const text = String(
    Tensor.float32(
      Array.from({ length: 1001 }, (_, i) => i),
      [1001],
    ),
  );
  expect(text).toContain("...");
  expect(text).toContain("2.0000,");
  expect(text).toContain("998.0000");
  expect(text).not.toContain("500.0000");
  expect(text.length).toBeLessThan(200);
});

it("prints tensors of many axes", () => {
  expect(String(Tensor.zeros([7, 7, 7, 7, 7, 7])).length).toBeGreaterThan(1000);
});

it("prints views by their own elements", () => {
  const matrix = Tensor.from([
    [1, 2],
    [3, 4],
  ]).cast("int32");
  expect(String(matrix.transpose())).toContain("[[1, 3],\n        [2, 4]]");
});

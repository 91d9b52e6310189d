import { describe, expect, it } from "vitest";
import { DTYPES } from "../../src/graph/dtype.js";
import { Tensor } from "../../src/graph/tensor.js";

const values = Tensor.float32([0, -0, 1.5, -2.7, 300.9, Number.NaN, Number.POSITIVE_INFINITY]);
const cast = (...args: Parameters<typeof values.cast>) => Array.from(values.cast(...args).data, Number);

describe("cast", () => {
  it.each(DTYPES)("to the same dtype (%s) is the tensor itself", (dtype) => {
    const tensor = Tensor.zeros([2], dtype);
    expect(tensor.cast(dtype)).toBe(tensor);
  });

  it("truncates floats toward zero and wraps them into the integer's range", () => {
    expect(cast("int32")).toEqual([0, 0, 1, -2, 300, 0, 0]);
    expect(cast("uint8")).toEqual([0, 0, 1, 254, 44, 0, 0]);
    expect(cast("int8")).toEqual([0, 0, 1, -2, 44, 0, 0]);
    expect(Array.from(values.cast("int64").data)).toEqual([0n, 0n, 1n, -2n, 300n, 0n, 0n]);
    expect(Array.from(values.cast("uint64").data)).toEqual([0n, 0n, 1n, 2n ** 64n - 2n, 300n, 0n, 0n]);
  });

  it("to bool is `value !== 0`, for every source", () => {
    expect(cast("bool")).toEqual([0, 0, 1, 1, 1, 1, 1]);
    for (const dtype of DTYPES) {
      expect(Array.from(Tensor.from([0, 1]).cast(dtype).cast("bool").data), dtype).toEqual([0, 1]);
    }
    expect(Array.from(Tensor.float32([-0]).cast("float16").cast("bool").data)).toEqual([0]);
  });

  it("keeps the low bits of 64-bit integers beyond 2^53", () => {
    const big = new Tensor("int64", BigInt64Array.of(2n ** 53n + 1n, -(2n ** 60n) - 3n), [2]);
    expect(Array.from(big.cast("int32").data)).toEqual([1, -3]);
    expect(Array.from(big.cast("uint8").data)).toEqual([1, 253]);
    expect(Array.from(big.cast("uint64").data)).toEqual([2n ** 53n + 1n, 2n ** 64n - 2n ** 60n - 3n]);
    expect(Array.from(big.cast("float64").data)).toEqual([2 ** 53, -(2 ** 60)]);
  });

  it("rounds float64 to a narrow float once, not through float32", () => {
    // Just above the middle between 1 and the next float16 (1 + 2^-10); float32 would round it to the exact middle.
    const value = 1 + 2 ** -11 + 2 ** -40;
    const tensor = new Tensor("float64", Float64Array.of(value), [1]);
    expect(tensor.cast("float16").at(0)).toBe(1 + 2 ** -10);
    expect(tensor.cast("float32").cast("float16").at(0)).toBe(1);
  });

  it("goes between narrow floats by value", () => {
    const half = Tensor.float32([1.5, -0.25, 70_000]).cast("float16");
    expect(half.at(2)).toBe(Number.POSITIVE_INFINITY);
    expect(Array.from(half.cast("bfloat16").toFloat32())).toEqual([1.5, -0.25, Number.POSITIVE_INFINITY]);
    expect(half.cast("float8_e4m3fn").at(0)).toBe(1.5);
  });

  it("works on views", () => {
    const tensor = Tensor.from([
      [1, 2],
      [3, 4],
    ]).transpose();
    expect(tensor.cast("int32").toNested()).toEqual([
      [1, 3],
      [2, 4],
    ]);
    expect(Array.from(tensor.row(1).toFloat32())).toEqual([2, 4]);
  });
});

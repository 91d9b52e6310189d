import { describe, expect, it } from "vitest";
import { ShapeError } from "../../src/errors.js";
import {
  allocate,
  byteSize,
  DTYPES,
  type DType,
  dtypeKind,
  isDType,
  isStorageOf,
  storageView,
} from "../../src/graph/dtype.js";
import { rowMajorStrides, sizeOf, Tensor } from "../../src/graph/tensor.js";

const counting = (...shape: number[]) =>
  Tensor.float32(
    Array.from({ length: sizeOf(shape) }, (_, i) => i),
    shape,
  );

describe("dtypes", () => {
  it.each(DTYPES)("%s: storage has the announced element size and is recognized", (dtype) => {
    const storage = allocate(dtype, 3);
    expect(storage.BYTES_PER_ELEMENT).toBe(byteSize(dtype));
    expect(storage).toHaveLength(3);
    expect(isStorageOf(dtype, storage)).toBe(true);
    expect(isStorageOf(dtype, new Float64Array(3))).toBe(dtype === "float64");
    expect(dtypeKind(dtype)).toBe(dtype === "bool" ? "bool" : dtype.includes("float") ? "float" : "int");
  });

  it("knows its names, and not those of Object.prototype", () => {
    expect(isDType("bfloat16")).toBe(true);
    expect(isDType("F32")).toBe(false);
    expect(isDType("toString")).toBe(false);
    expect(isDType("__proto__")).toBe(false);
  });

  it("views bytes without a copy and refuses unaligned ones", () => {
    const bytes = new Uint8Array(12);
    const view = storageView("int32", bytes.buffer, 4, 2);
    bytes[4] = 7;
    expect(Array.from(view)).toEqual([7, 0]);
    expect(() => storageView("int32", bytes.buffer, 2, 2)).toThrow(RangeError);
  });
});

describe("construction", () => {
  it("shares the array it is given", () => {
    const data = Float32Array.of(1, 2, 3, 4);
    expect(new Tensor("float32", data, [2, 2]).data).toBe(data);
    expect(Tensor.float32(data).data).toBe(data);
  });

  it("doesn't follow later changes of the shape array", () => {
    const shape = [2, 2];
    const tensor = Tensor.zeros(shape);
    shape[0] = 9;
    expect(tensor.shape).toEqual([2, 2]);
  });

  it("holds scalars and empty tensors", () => {
    expect(Tensor.from(5).shape).toEqual([]);
    expect(Tensor.from(5).at()).toBe(5);
    expect(Tensor.from([]).shape).toEqual([0]);
    expect(Tensor.from([[], []]).shape).toEqual([2, 0]);
    expect(Tensor.zeros([3, 0]).data).toHaveLength(0);
    expect(Tensor.zeros([3, 0]).toNested()).toEqual([[], [], []]);
  });

  it("reads nested arrays", () => {
    const tensor = Tensor.from([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(tensor.shape).toEqual([2, 3]);
    expect(Array.from(tensor.data)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(tensor.toNested()).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
  });

  it.each([
    ["ragged rows", () => Tensor.from([[1, 2], [3]])],
    ["a number among rows", () => Tensor.from([[1], 2])],
    ["a row among numbers", () => Tensor.from([1, [2]])],
    ["deeper rows", () => Tensor.from([[1], [[2]]])],
    ["a length that doesn't fit", () => new Tensor("float32", new Float32Array(3), [2, 2])],
    ["a negative dimension", () => new Tensor("float32", new Float32Array(2), [-1, -2])],
    ["a fractional dimension", () => new Tensor("float32", new Float32Array(3), [2, 1.5])],
    ["negative zeros()", () => Tensor.zeros([-1])],
    ["fractional full()", () => Tensor.full([0.5], 1)],
    ["another storage type", () => new Tensor("float32", new Float64Array(2) as never, [2])],
    ["signed storage for unsigned", () => new Tensor("uint8", new Int8Array(2) as never, [2])],
  ])("refuses %s", (_, make) => {
    expect(make).toThrow(ShapeError);
  });

  it("fills, and zeros of every dtype are zero", () => {
    expect(Array.from(Tensor.full([2, 2], 1.5).data)).toEqual([1.5, 1.5, 1.5, 1.5]);
    for (const dtype of DTYPES) expect(Number(Tensor.zeros([2], dtype).at(1))).toBe(0);
  });

  it("says sizes", () => {
    const tensor = Tensor.zeros([2, 3, 4], "bfloat16");
    expect([tensor.size, tensor.rank, tensor.byteLength]).toEqual([24, 3, 48]);
    expect(rowMajorStrides([2, 3, 4])).toEqual([12, 4, 1]);
    expect(rowMajorStrides([])).toEqual([]);
    expect(sizeOf([])).toBe(1);
  });
});

describe("elements", () => {
  it("counts from the end for negative indices", () => {
    const tensor = counting(2, 3);
    expect(tensor.at(1, 2)).toBe(5);
    expect(tensor.at(-1, -3)).toBe(3);
  });

  it.each([[[2, 0]], [[0, -4]], [[0]], [[0, 0, 0]], [[0.5, 0]], [[Number.NaN, 0]]])("refuses at(%j)", (indices) => {
    expect(() => counting(2, 3).at(...indices)).toThrow(ShapeError);
  });

  it("gives bigint for 64-bit integers and decoded numbers for narrow floats", () => {
    expect(new Tensor("int64", BigInt64Array.of(-3n), [1]).at(0)).toBe(-3n);
    expect(new Tensor("float16", Uint16Array.of(0x3e00), [1]).at(0)).toBe(1.5);
    expect(new Tensor("bfloat16", Uint16Array.of(0xbfc0), [1]).at(0)).toBe(-1.5);
    expect(new Tensor("float8_e4m3fn", Uint8Array.of(0x7e), [1]).at(0)).toBe(448);
    expect(new Tensor("float8_e5m2", Uint8Array.of(0xfc), [1]).at(0)).toBe(Number.NEGATIVE_INFINITY);
  });
});

describe("views", () => {
  it("share memory until data has to be rearranged", () => {
    const tensor = counting(4, 3);
    expect(tensor.row(2).data.buffer).toBe(tensor.data.buffer);
    expect(tensor.slice([{ start: 1, stop: 3 }]).data.buffer).toBe(tensor.data.buffer);
    expect(tensor.reshape([2, 6]).data).toBe(tensor.data);
    const transposed = tensor.transpose();
    expect(transposed.isContiguous).toBe(false);
    expect(transposed.data.buffer).not.toBe(tensor.data.buffer);
    expect(transposed.data).toBe(transposed.data);
    expect(transposed.transpose().isContiguous).toBe(true);
  });

  it("bytes are those of the view, not of the storage behind it", () => {
    const bytes = counting(4, 3).row(1).bytes;
    expect(bytes).toHaveLength(12);
    expect(new DataView(bytes.buffer, bytes.byteOffset).getFloat32(0, true)).toBe(3);
  });

  it("axes of length 1 don't make a view discontiguous", () => {
    expect(counting(1, 5).transpose().isContiguous).toBe(true);
    expect(
      counting(5, 4)
        .slice([undefined, { start: 2, stop: 3 }])
        .reshape([5]).data,
    ).toEqual(Float32Array.of(2, 6, 10, 14, 18));
  });

  it("resolves one unknown dimension", () => {
    expect(counting(4, 3).reshape([-1, 2]).shape).toEqual([6, 2]);
    expect(Tensor.zeros([0, 3]).reshape([3, -1]).shape).toEqual([3, 0]);
    expect(Tensor.from(1).reshape([1, 1]).shape).toEqual([1, 1]);
  });

  it.each([[[5, 2]], [[-1, 5]], [[-1, -1]], [[-2, -6]], [[8, 1.5]], [[0, -1]]])(
    "refuses to reshape 12 elements to %j",
    (shape) => {
      expect(() => counting(4, 3).reshape(shape)).toThrow(/reshape: \[4, 3\]/);
    },
  );

  it.each([[[0]], [[0, 0]], [[0, 2]], [[0, 1, 2]], [[0.5, 1]]])("refuses to transpose by %j", (permutation) => {
    expect(() => counting(4, 3).transpose(permutation)).toThrow(ShapeError);
  });

  it("clamps slices as Python does", () => {
    const tensor = counting(5);
    const slice = (start: number, stop: number, step = 1) => Array.from(tensor.slice([{ start, stop, step }]).data);
    expect(slice(1, 99)).toEqual([1, 2, 3, 4]);
    expect(slice(-2, 5)).toEqual([3, 4]);
    expect(slice(-99, 2)).toEqual([0, 1]);
    expect(slice(3, 1)).toEqual([]);
    expect(slice(0, 5, 2)).toEqual([0, 2, 4]);
    expect(slice(1, 5, 3)).toEqual([1, 4]);
    expect(slice(7, 9)).toEqual([]);
  });

  it("refuses bad slices and rows", () => {
    expect(() => counting(5).slice([{ step: 0 }])).toThrow(ShapeError);
    expect(() => counting(5).slice([{ step: -1 }])).toThrow(ShapeError);
    expect(() => counting(5).slice([{ start: 0.5 }])).toThrow(ShapeError);
    expect(() => counting(5).slice([{ stop: Number.NaN }])).toThrow(ShapeError);
    expect(() => counting(5).slice([{}, {}])).toThrow(ShapeError);
    expect(() => counting(5).row(5)).toThrow(ShapeError);
    expect(() => counting(5).row(1.5)).toThrow(ShapeError);
    expect(() => Tensor.from(1).row(0)).toThrow(ShapeError);
  });

  it("joins along the first axis: views too, and every dtype", () => {
    const [a, b] = [
      counting(2, 3),
      counting(3, 4)
        .transpose()
        .slice([{ start: 3 }]),
    ];
    expect(Tensor.concat([a, b]).toNested()).toEqual([
      [0, 1, 2],
      [3, 4, 5],
      [3, 7, 11],
    ]);
    expect(Tensor.concat([a])).toBe(a);
    const half = Tensor.concat([a.cast("float16"), a.cast("float16")]);
    expect([half.dtype, half.at(3, 2)]).toEqual(["float16", 5]);
    expect(() => Tensor.concat([a, counting(1, 2)])).toThrow("float32 [2, 3] and float32 [1, 2] don't fit");
    expect(() => Tensor.concat<DType>([a, a.cast("int32")])).toThrow("float32 [2, 3] and int32 [2, 3] don't fit");
    expect(() => Tensor.concat([])).toThrow("at least one");
    expect(() => Tensor.concat([Tensor.from(1)])).toThrow(ShapeError);
  });

  it("maps values in the same shape and dtype, whatever the strides", () => {
    const view = counting(2, 3).transpose();
    expect(view.map((value, i) => 10 * value + i).toNested()).toEqual([
      [0, 31],
      [12, 43],
      [24, 55],
    ]);
    expect(view.toNested()).toEqual(counting(2, 3).transpose().toNested());
    const half = view.cast("float16").map((value) => value / 3);
    expect([half.dtype, half.at(2, 1)]).toEqual(["float16", 1.6669921875]);
    const bytes = view.cast("uint8").map((value) => value + 0.9);
    expect([bytes.dtype, Array.from(bytes.data, Number)]).toEqual(["uint8", [0, 3, 1, 4, 2, 5]]);
    expect(Array.from(view.cast("int64").map((value) => -value).data)).toEqual([0n, -3n, -1n, -4n, -2n, -5n]);
  });
});

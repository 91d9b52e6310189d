import fc from "fast-check";
import { expect, it } from "vitest";
import type { DType } from "../../src/graph/dtype.js";
import { type NestedNumbers, sizeOf, Tensor } from "../../src/graph/tensor.js";

/** The model: an element is its index, found by plain nested arrays. */
const seed = { seed: 20241014, numRuns: 300 };
const shapes = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 });

function counting(shape: readonly number[]): Tensor<"float32"> {
  return Tensor.float32(
    Array.from({ length: sizeOf(shape) }, (_, i) => i),
    shape,
  );
}

function flatten(nested: NestedNumbers): number[] {
  return typeof nested === "number" ? [nested] : nested.flatMap(flatten);
}

/** `data` and `toNested` go different ways through the strides; both must agree. */
function expectElements(tensor: Tensor, expected: readonly number[]): void {
  expect(Array.from(tensor.data, Number)).toEqual(expected);
  expect(flatten(tensor.toNested())).toEqual(expected);
  expect(tensor.size).toBe(expected.length);
}

/** All index tuples of a shape in row-major order. */
function indices(shape: readonly number[]): number[][] {
  return shape.reduce<number[][]>(
    (tuples, dim) => tuples.flatMap((tuple) => Array.from({ length: dim }, (_, i) => [...tuple, i])),
    [[]],
  );
}

it("transpose moves every element to its place", () => {
  const cases = shapes.chain((shape) =>
    fc.record({
      shape: fc.constant(shape),
      permutation: fc.shuffledSubarray(
        shape.map((_, axis) => axis),
        { minLength: shape.length },
      ),
    }),
  );
  fc.assert(
    fc.property(cases, ({ shape, permutation }) => {
      const tensor = counting(shape);
      const moved = tensor.transpose(permutation);
      expect(moved.shape).toEqual(permutation.map((axis) => shape[axis]));
      const expected = indices(moved.shape).map((index) => {
        const original = new Array<number>(shape.length);
        permutation.forEach((axis, position) => {
          original[axis] = index[position] as number;
        });
        return tensor.at(...original) as number;
      });
      expectElements(moved, expected);
    }),
    seed,
  );
});

it("slices take the elements that Array.slice and a filter take, also of a transposed view", () => {
  const range = fc.record(
    {
      start: fc.integer({ min: -6, max: 6 }),
      stop: fc.integer({ min: -6, max: 6 }),
      step: fc.integer({ min: 1, max: 3 }),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(shapes, fc.array(range, { maxLength: 4 }), fc.boolean(), (shape, allRanges, transposed) => {
      const tensor = transposed ? counting(shape).transpose() : counting(shape);
      const ranges = allRanges.slice(0, shape.length);
      const positions = tensor.shape.map((dim, axis) => {
        const { start, stop, step = 1 } = ranges[axis] ?? {};
        const all = Array.from({ length: dim }, (_, i) => i);
        return all.slice(start ?? 0, stop ?? dim).filter((_, i) => i % step === 0);
      });
      const sliced = tensor.slice(ranges);
      expect(sliced.shape).toEqual(positions.map((axis) => axis.length));
      const expected = indices(sliced.shape).map(
        (index) => tensor.at(...index.map((i, axis) => positions[axis]?.[i] as number)) as number,
      );
      expectElements(sliced, expected);
    }),
    seed,
  );
});

it("reshape keeps row-major order, also after a transpose", () => {
  fc.assert(
    fc.property(shapes, fc.boolean(), (shape, transposed) => {
      const tensor = transposed ? counting(shape).transpose() : counting(shape);
      const order = Array.from(tensor.data);
      expectElements(tensor.reshape([tensor.size]), order);
      expectElements(tensor.reshape([...shape].reverse()), order);
    }),
    seed,
  );
});

it("a view of a view equals a view of its copy", () => {
  fc.assert(
    fc.property(
      shapes.filter((shape) => shape.length > 0 && (shape[0] as number) > 0),
      (shape) => {
        const view = counting(shape)
          .transpose()
          .slice([{ step: 2 }]);
        const copy = new Tensor("float32", view.data.slice(), view.shape);
        for (let i = 0; i < (view.shape[0] as number); i++) expectElements(view.row(i), Array.from(copy.row(i).data));
        expectElements(view.transpose(), Array.from(copy.transpose().data));
      },
    ),
    seed,
  );
});

it("integers survive casts to every dtype that holds them, from every view", () => {
  const wide: DType[] = ["float64", "float32", "float16", "bfloat16", "int64", "uint64", "int32", "uint32", "int16"];
  fc.assert(
    fc.property(shapes, fc.constantFrom(...wide), fc.constantFrom(...wide), (shape, from, to) => {
      const tensor = counting(shape).transpose();
      const cast = tensor.cast(from).cast(to).cast("float32");
      // bfloat16 holds integers up to 256; at most 4^4 = 256 elements count to 255.
      expect(Array.from(cast.data)).toEqual(Array.from(tensor.data));
      expect(cast.shape).toEqual(tensor.shape);
    }),
    seed,
  );
});

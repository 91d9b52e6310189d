/** Symbolic dimensions behave as the numbers they stand for. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Dim, dimDivide, dimEqual, dimMultiply, dimToString, shapeSize, symbol } from "../../src/graph/dim.js";

const bindings: Readonly<Record<string, number>> = { b: 3, h: 5, w: 7 };
const evaluate = (dim: Dim): number =>
  typeof dim === "number"
    ? dim
    : dim.symbols.reduce((product, name) => product * (bindings[name] as number), dim.factor);

const dims: fc.Arbitrary<Dim> = fc.oneof(
  fc.integer({ min: 1, max: 64 }),
  fc
    .tuple(fc.constantFrom("b", "h", "w"), fc.integer({ min: 1, max: 64 }))
    .map(([name, factor]) => symbol(name, factor)),
);

describe("dimensions", () => {
  test("a product evaluates to the product", () => {
    fc.assert(
      fc.property(fc.array(dims, { maxLength: 5 }), (shape) => {
        expect(evaluate(shapeSize(shape))).toBe(shape.reduce<number>((size, dim) => size * evaluate(dim), 1));
      }),
      { seed: 1 },
    );
  });

  test("division undoes multiplication", () => {
    fc.assert(
      fc.property(dims, dims, (a, b) => {
        const quotient = dimDivide(dimMultiply(a, b), b);
        expect(quotient !== undefined && dimEqual(quotient, a)).toBe(true);
      }),
      { seed: 2 },
    );
  });

  test("a division that isn't exact is refused", () => {
    expect(dimDivide(symbol("h", 6), 4)).toBeUndefined();
    expect(dimDivide(32, symbol("h"))).toBeUndefined();
    expect(dimDivide(symbol("h"), symbol("w"))).toBeUndefined();
  });

  test("equality is by value, whatever the order of multiplication", () => {
    const [h, w] = [symbol("h", 2), symbol("w", 3)];
    expect(dimEqual(dimMultiply(h, w), dimMultiply(w, h))).toBe(true);
    expect(dimEqual(h, w)).toBe(false);
    expect(dimToString(dimMultiply(h, w))).toBe("6*h*w");
  });
});

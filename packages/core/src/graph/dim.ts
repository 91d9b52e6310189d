/**
 * Dimensions of graph values: plain numbers, or symbolic products such as `32*h` for graphs that are exported with a
 * dynamic batch, height and width.
 *
 * A symbolic dimension is a monomial, an integer factor times named symbols. Monomials are closed under everything that
 * the models do to sizes (multiply, divide exactly, merge and split axes), compare by value, and need no solver.
 */
import { ShapeError } from "../errors.js";

/** A dimension that isn't known before a program runs: a factor times named sizes. */
export interface SymbolicDim {
  /** Positive integer. */
  readonly factor: number;
  /** Symbol names, sorted; a name occurs once per power. Never empty. */
  readonly symbols: readonly string[];
}

/** A dimension: a number, or a product of named sizes. */
export type Dim = number | SymbolicDim;

/** `factor * name`, as in `symbol("h", 32)`: a size that is a multiple of 32. */
export function symbol(name: string, factor = 1): SymbolicDim {
  return { factor, symbols: [name] };
}

/** A dimension as messages write it: "32", or "8*h" for a symbolic one. */
export function dimToString(dim: Dim): string {
  if (typeof dim === "number") return String(dim);
  return [...(dim.factor === 1 ? [] : [dim.factor]), ...dim.symbols].join("*");
}

/** A shape as messages write it, as in "[1, 3, h, w]". */
export function shapeToString(shape: readonly Dim[]): string {
  return `[${shape.map(dimToString).join(", ")}]`;
}

/** Whether two dimensions are the same number or expression. */
export function dimEqual(a: Dim, b: Dim): boolean {
  if (typeof a === "number" || typeof b === "number") return a === b;
  return a.factor === b.factor && a.symbols.join() === b.symbols.join();
}

/** Whether two shapes have the same dimensions. */
export function shapeEqual(a: readonly Dim[], b: readonly Dim[]): boolean {
  return a.length === b.length && a.every((dim, axis) => dimEqual(dim, b[axis] as Dim));
}

function parts(dim: Dim): SymbolicDim {
  return typeof dim === "number" ? { factor: dim, symbols: [] } : dim;
}

function fromParts(factor: number, symbols: readonly string[]): Dim {
  return symbols.length === 0 ? factor : { factor, symbols };
}

/** The product of two dimensions. */
export function dimMultiply(a: Dim, b: Dim): Dim {
  const [left, right] = [parts(a), parts(b)];
  return fromParts(left.factor * right.factor, [...left.symbols, ...right.symbols].sort());
}

/** Product of all dimensions. */
export function shapeSize(shape: readonly Dim[]): Dim {
  return shape.reduce<Dim>(dimMultiply, 1);
}

/** `a / b` where that is exact for every value of the symbols, otherwise undefined. */
export function dimDivide(a: Dim, b: Dim): Dim | undefined {
  const [left, right] = [parts(a), parts(b)];
  const symbols = [...left.symbols];
  for (const name of right.symbols) {
    const at = symbols.indexOf(name);
    if (at < 0) return undefined;
    symbols.splice(at, 1);
  }
  if (right.factor === 0 || left.factor % right.factor !== 0) return undefined;
  return fromParts(left.factor / right.factor, symbols);
}

/** `dim + offset`; a symbolic dimension only takes an offset of 0. */
export function dimAdd(dim: Dim, offset: number): Dim | undefined {
  if (typeof dim === "number") return dim + offset;
  return offset === 0 ? dim : undefined;
}

/** Whether a shape has no symbolic dimension. */
export function isStaticShape(shape: readonly Dim[]): shape is readonly number[] {
  return shape.every((dim) => typeof dim === "number");
}

/**
 * The shape as numbers.
 *
 * @throws ShapeError when a dimension is symbolic; `what` names the op or task that needs numbers.
 */
export function staticShape(shape: readonly Dim[], what: string): readonly number[] {
  if (!isStaticShape(shape)) throw new ShapeError(`${what} needs a static shape, got ${shapeToString(shape)}`);
  return shape;
}

/** All symbol names of a shape. */
export function symbolsOf(shape: readonly Dim[]): string[] {
  return shape.flatMap((dim) => (typeof dim === "number" ? [] : [...dim.symbols]));
}

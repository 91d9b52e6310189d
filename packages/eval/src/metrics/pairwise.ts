/**
 * All pairs of two sets of vectors, block by block: matrix products on an engine, because 50,000 x 10,000 pairs of 2048
 * numbers are 10^12 multiplications.
 */
import { ShapeError, Tensor } from "@dcae/core";
import {
  add,
  cast,
  createProgram,
  input,
  matmul,
  mul,
  type Program,
  reduceSum,
  sub,
  transpose,
} from "@dcae/core/graph";
import type { Engine } from "@dcae/core/runtime";

/** Vectors as rows, [count, dimensions]. */
export interface VectorSet {
  readonly data: Float32Array;
  readonly dimensions: number;
}

export type PairwiseKind = "squared-distance" | "dot-product";

export interface PairwiseBlock {
  /** [rows, columns] with rows `stride` apart, float32 or float64. */
  readonly values: Float32Array | Float64Array;
  readonly stride: number;
  readonly rowStart: number;
  readonly columnStart: number;
  readonly rows: number;
  readonly columns: number;
}

export interface PairwiseOptions {
  readonly engine: Engine;
  readonly kind: PairwiseKind;
  /** Precision of the products (default float32). float64 needs the cpu device. */
  readonly dtype?: "float32" | "float64";
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

const BLOCK_ROWS = 1024;
const BLOCK_COLUMNS = 4096;

/**
 * How many vectors a set has.
 *
 * @throws ShapeError when the data isn't a whole number of vectors
 */
export function countOf({ data, dimensions }: VectorSet): number {
  const count = data.length / dimensions;
  if (!Number.isInteger(count)) throw new ShapeError(`${data.length} numbers aren't vectors of ${dimensions}`);
  return count;
}

/** |a - b|^2 as |a|^2 + |b|^2 - 2ab, without a clamp at 0 (as the official evaluation), or the products alone. */
function pairwiseProgram(rows: number, columns: number, dimensions: number, options: PairwiseOptions): Program {
  const { kind, dtype = "float32" } = options;
  const a = cast(input("a", [rows, dimensions]), dtype);
  const b = cast(input("b", [columns, dimensions]), dtype);
  const products = matmul(a, transpose(b));
  if (kind === "dot-product") return createProgram("dot products", { values: products });
  const squaresOfA = reduceSum(mul(a, a), 1, { keepDims: true });
  const squaresOfB = transpose(reduceSum(mul(b, b), 1, { keepDims: true }));
  return createProgram("squared distances", { values: sub(add(squaresOfA, squaresOfB), mul(products, 2)) });
}

/** `count` vectors from `start`, filled up with zeros to `size` vectors. */
function block({ data, dimensions }: VectorSet, start: number, count: number, size: number): Tensor {
  const part = data.subarray(start * dimensions, (start + count) * dimensions);
  if (count === size) return Tensor.float32(part, [size, dimensions]);
  const padded = new Float32Array(size * dimensions);
  padded.set(part);
  return Tensor.float32(padded, [size, dimensions]);
}

/**
 * Visits every pair (row of `a`, row of `b`) in blocks.
 *
 * @throws ShapeError when the dimensions differ
 */
export async function forEachPair(
  a: VectorSet,
  b: VectorSet,
  options: PairwiseOptions,
  visit: (block: PairwiseBlock) => void,
): Promise<void> {
  if (a.dimensions !== b.dimensions) {
    throw new ShapeError(`the sets have vectors of ${a.dimensions} and ${b.dimensions} numbers`);
  }
  const [rows, columns] = [countOf(a), countOf(b)];
  const height = Math.min(BLOCK_ROWS, rows);
  const width = Math.min(BLOCK_COLUMNS, columns);
  if (height === 0 || width === 0) return;
  const program = pairwiseProgram(height, width, a.dimensions, options);
  const loaded = await options.engine.load(program, { source: "none", entries: new Map(), close: async () => {} });
  try {
    for (let columnStart = 0; columnStart < columns; columnStart += width) {
      const usedColumns = Math.min(width, columns - columnStart);
      const right = block(b, columnStart, usedColumns, width);
      for (let rowStart = 0; rowStart < rows; rowStart += height) {
        const usedRows = Math.min(height, rows - rowStart);
        const { values } = await loaded.run({ a: block(a, rowStart, usedRows, height), b: right });
        const data = (values as Tensor).data as Float32Array | Float64Array;
        visit({ values: data, stride: width, rowStart, columnStart, rows: usedRows, columns: usedColumns });
        options.onProgress?.(columnStart * rows + (rowStart + usedRows) * usedColumns, rows * columns);
      }
    }
  } finally {
    await loaded.dispose();
  }
}

/**
 * Host tensors: a dtype, a shape and a typed array.
 *
 * A tensor is a strided view over storage, as in NumPy: `transpose`, `slice`, `reshape` (of contiguous data) and `row`
 * share memory with their source. `data` is always contiguous and row-major; it is the storage itself when the view
 * allows it and a copy otherwise, so read it once, outside of loops. Nothing freezes the elements: whoever
 * makes a tensor may fill its array before handing it on, and nobody writes to a tensor that was given to them.
 */
import { ShapeError } from "../errors.js";
import {
  allocate,
  byteSize,
  type DType,
  decodeFloats,
  dtypeKind,
  encodeFloats,
  isBigIntDType,
  isNarrowFloat,
  isStorageOf,
  type StorageOf,
} from "./dtype.js";
import { formatTensor } from "./format-tensor.js";

/** A range along one axis, as in Python: negative positions count from the end. */
export interface SliceRange {
  readonly start?: number;
  readonly stop?: number;
  /** Positive. */
  readonly step?: number;
}

/** Numbers in arrays of arrays, as deep as the tensor has axes. */
export type NestedNumbers = number | readonly NestedNumbers[];

/** Product of dimensions (1 for a scalar). */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((size, dim) => size * dim, 1);
}

/** Strides of row-major data, in elements. */
export function rowMajorStrides(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis] as number;
  }
  return strides;
}

/**
 * Data on the host: an element type, a shape and a typed array. Pictures are float32 [N, 3, H, W] with values in [-1, 1].
 *
 * @example
 * ```ts
 * import { Tensor } from "@dcae/core";
 *
 * const x = Tensor.float32(new Float32Array(6), [2, 3]);
 * console.log(x.reshape([3, 2]).shape, x.transpose().at(2, 1)); // [3, 2] 0
 * ```
 */
export class Tensor<D extends DType = DType> {
  readonly dtype: D;
  readonly shape: readonly number[];
  /** Distance between neighbors along each axis, in elements of the storage. */
  readonly strides: readonly number[];
  readonly #storage: StorageOf<D>;
  readonly #offset: number;
  #contiguous: StorageOf<D> | undefined;

  /**
   * A tensor over `data` (row-major, not copied).
   *
   * @param shape dimensions; their product must equal `data.length`
   * @throws ShapeError when length or array type don't fit
   */
  constructor(dtype: D, data: StorageOf<D>, shape: readonly number[]);
  /** @internal A strided view over storage that was checked before. */
  constructor(
    dtype: D,
    data: StorageOf<D>,
    shape: readonly number[],
    view: { readonly strides: readonly number[]; readonly offset: number },
  );
  constructor(
    dtype: D,
    data: StorageOf<D>,
    shape: readonly number[],
    view?: { readonly strides: readonly number[]; readonly offset: number },
  ) {
    this.dtype = dtype;
    this.shape = Object.freeze([...shape]);
    this.strides = view?.strides ?? rowMajorStrides(shape);
    this.#storage = data;
    this.#offset = view?.offset ?? 0;
    if (view === undefined) {
      checkShape(shape);
      if (!isStorageOf(dtype, data)) {
        throw new ShapeError(`Tensor: ${dtype} is stored in another array type than ${arrayName(data)}`);
      }
      if (data.length !== sizeOf(shape)) {
        throw new ShapeError(
          `Tensor: shape [${shape.join(", ")}] has ${sizeOf(shape)} elements, but the data has ${data.length}`,
        );
      }
      this.#contiguous = data;
    }
  }

  static zeros<D extends DType = "float32">(shape: readonly number[], dtype = "float32" as D): Tensor<D> {
    checkShape(shape);
    return new Tensor(dtype, allocate(dtype, sizeOf(shape)), shape);
  }

  static full(shape: readonly number[], value: number): Tensor<"float32"> {
    checkShape(shape);
    return new Tensor("float32", new Float32Array(sizeOf(shape)).fill(value), shape);
  }

  /** A float32 tensor over `values` (a Float32Array isn't copied). */
  static float32(values: ArrayLike<number>, shape: readonly number[] = [values.length]): Tensor<"float32"> {
    return new Tensor("float32", values instanceof Float32Array ? values : Float32Array.from(values), shape);
  }

  /** A float32 tensor from nested arrays, as in `Tensor.from([[1, 2], [3, 4]])`. */
  static from(nested: NestedNumbers): Tensor<"float32"> {
    const shape: number[] = [];
    for (let level = nested; typeof level !== "number"; level = level[0] as NestedNumbers) {
      shape.push(level.length);
      if (level.length === 0) break;
    }
    const values: number[] = [];
    collect(nested, shape, 0, values);
    return Tensor.float32(values, shape);
  }

  /**
   * Tensors of one dtype joined along the first axis (a single one is itself).
   *
   * @throws ShapeError when there is none, or dtypes or the other axes differ
   */
  static concat<D extends DType>(tensors: readonly Tensor<D>[]): Tensor<D> {
    const [first, ...others] = tensors;
    if (first === undefined) throw new ShapeError("Tensor.concat: needs at least one tensor");
    if (first.rank === 0) throw new ShapeError("Tensor.concat: scalars have no first axis");
    if (others.length === 0) return first;
    const rest = first.shape.slice(1);
    const other = others.find(({ dtype, shape }) => dtype !== first.dtype || shape.slice(1).join() !== rest.join());
    if (other !== undefined) {
      const described = [first, other].map(({ dtype, shape }) => `${dtype} [${shape.join(", ")}]`);
      throw new ShapeError(`Tensor.concat: ${described.join(" and ")} don't fit`);
    }
    const count = tensors.reduce((sum, { shape }) => sum + (shape[0] as number), 0);
    const joined = Tensor.zeros([count, ...rest], first.dtype);
    let at = 0;
    for (const { bytes } of tensors) {
      joined.bytes.set(bytes, at);
      at += bytes.length;
    }
    return joined;
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  get rank(): number {
    return this.shape.length;
  }

  /** Size of the elements in bytes (of the view, not of the storage behind it). */
  get byteLength(): number {
    return this.size * byteSize(this.dtype);
  }

  /** Whether the view's elements lie in row-major order without gaps. */
  get isContiguous(): boolean {
    const expected = rowMajorStrides(this.shape);
    return this.shape.every((dim, axis) => dim <= 1 || this.strides[axis] === expected[axis]);
  }

  /** Elements in row-major order: the storage itself where possible, otherwise a copy (made once). */
  get data(): StorageOf<D> {
    this.#contiguous ??= this.isContiguous
      ? (this.#storage.subarray(this.#offset, this.#offset + this.size) as StorageOf<D>)
      : this.#copy();
    return this.#contiguous;
  }

  /** The raw bytes of `data` (no copy). */
  get bytes(): Uint8Array {
    const { buffer, byteOffset, byteLength } = this.data;
    return new Uint8Array(buffer, byteOffset, byteLength);
  }

  #copy(): StorageOf<D> {
    const out = allocate(this.dtype, this.size);
    const { shape, strides } = this;
    const last = shape.length - 1;
    const inner = shape[last] ?? 1;
    const innerStride = strides[last] ?? 1;
    const index = new Array<number>(Math.max(last, 0)).fill(0);
    let position = this.#offset;
    for (let start = 0; start < out.length; start += inner) {
      for (let i = 0; i < inner; i++) out[start + i] = this.#storage[position + i * innerStride] as never;
      for (let axis = last - 1; axis >= 0; axis--) {
        const stride = strides[axis] as number;
        const next = (index[axis] as number) + 1;
        position += stride;
        index[axis] = next;
        if (next < (shape[axis] as number)) break;
        position -= next * stride;
        index[axis] = 0;
      }
    }
    return out;
  }

  /** One element as a number (or bigint for 64-bit integers). Negative indices count from the end. */
  at(...indices: readonly number[]): D extends "int64" | "uint64" ? bigint : number {
    if (indices.length !== this.rank) {
      throw new ShapeError(`at: ${indices.length} indices for a tensor of shape [${this.shape.join(", ")}]`);
    }
    let position = this.#offset;
    indices.forEach((index, axis) => {
      const dim = this.shape[axis] as number;
      const resolved = index < 0 ? index + dim : index;
      if (!(Number.isInteger(resolved) && resolved >= 0 && resolved < dim)) {
        throw new ShapeError(`at: index ${index} is outside of axis ${axis} of shape [${this.shape.join(", ")}]`);
      }
      position += resolved * (this.strides[axis] as number);
    });
    const element = this.#storage[position] as number | bigint;
    return (
      isNarrowFloat(this.dtype) ? decodeFloats(this.dtype, Uint16Array.of(element as number))[0] : element
    ) as never;
  }

  /** The same elements under another shape; one dimension may be -1. A view where the data is contiguous. */
  reshape(shape: readonly number[]): Tensor<D> {
    const known = sizeOf(shape.filter((dim) => dim !== -1));
    const resolved = shape.map((dim) => (dim === -1 ? this.size / known : dim));
    if (shape.filter((dim) => dim === -1).length > 1 || sizeOf(resolved) !== this.size || !isShape(resolved)) {
      throw new ShapeError(`reshape: [${this.shape.join(", ")}] doesn't fit into [${shape.join(", ")}]`);
    }
    return new Tensor(this.dtype, this.data, resolved);
  }

  /** Axes in another order (reversed by default), as a view. */
  transpose(permutation: readonly number[] = this.shape.map((_, axis) => this.rank - 1 - axis)): Tensor<D> {
    if ([...permutation].sort((a, b) => a - b).join() !== this.shape.map((_, axis) => axis).join()) {
      throw new ShapeError(`transpose: [${permutation.join(", ")}] isn't a permutation of ${this.rank} axes`);
    }
    return new Tensor(
      this.dtype,
      this.#storage,
      permutation.map((axis) => this.shape[axis] as number),
      { strides: permutation.map((axis) => this.strides[axis] as number), offset: this.#offset },
    );
  }

  /** Ranges along the first axes (missing or undefined: whole), as a view. */
  slice(ranges: readonly (SliceRange | undefined)[]): Tensor<D> {
    if (ranges.length > this.rank) {
      throw new ShapeError(`slice: ${ranges.length} ranges for a tensor of shape [${this.shape.join(", ")}]`);
    }
    let offset = this.#offset;
    const shape = [...this.shape];
    const strides = [...this.strides];
    ranges.forEach((range, axis) => {
      const dim = shape[axis] as number;
      const stride = strides[axis] as number;
      const step = range?.step ?? 1;
      if (!Number.isInteger(step) || step < 1) throw new ShapeError(`slice: step ${step} isn't a positive integer`);
      if (!Number.isInteger(range?.start ?? 0) || !Number.isInteger(range?.stop ?? 0)) {
        throw new ShapeError(`slice: ${range?.start}..${range?.stop} isn't a range of integers`);
      }
      const bound = (position: number) => Math.min(Math.max(position < 0 ? position + dim : position, 0), dim);
      const start = bound(range?.start ?? 0);
      const stop = bound(range?.stop ?? dim);
      offset += start * stride;
      shape[axis] = Math.max(Math.ceil((stop - start) / step), 0);
      strides[axis] = stride * step;
    });
    return new Tensor(this.dtype, this.#storage, shape, { strides, offset });
  }

  /** Item `index` of the first axis, without that axis (a view). */
  row(index: number): Tensor<D> {
    const resolved = index < 0 ? index + (this.shape[0] ?? 0) : index;
    if (this.rank === 0 || !(Number.isInteger(resolved) && resolved >= 0 && resolved < (this.shape[0] as number))) {
      throw new ShapeError(`row: no item ${index} in shape [${this.shape.join(", ")}]`);
    }
    return new Tensor(this.dtype, this.#storage, this.shape.slice(1), {
      strides: this.strides.slice(1),
      offset: this.#offset + resolved * (this.strides[0] as number),
    });
  }

  /**
   * The same values in another dtype. Floats round to nearest even, float to integer truncates toward zero and wraps as
   * JavaScript's typed arrays do, anything to bool is `value !== 0`.
   */
  cast<E extends DType>(dtype: E): Tensor<E> {
    if ((dtype as DType) === this.dtype) return this as unknown as Tensor<E>;
    return new Tensor(dtype, castData(this, dtype), this.shape);
  }

  /**
   * `of` each value, in the same shape and dtype; what it gives is rounded as `cast` does.
   *
   * @param of gets the value and its position in row-major order; 64-bit integers outside of the safe range lose precision
   */
  map(of: (value: number, index: number) => number): Tensor<D> {
    const isFloat32 = (this.dtype as DType) === "float32";
    const mapped = isFloat32
      ? new Tensor("float32", this.toFloat32().map(of), this.shape)
      : new Tensor("float64", (this.cast("float64").data as Float64Array).map(of), this.shape);
    return (mapped as Tensor).cast(this.dtype);
  }

  /** Values as float32 (the data itself for float32 tensors). */
  toFloat32(): Float32Array {
    return this.cast("float32").data as Float32Array;
  }

  /** Values as nested arrays of numbers; 64-bit integers outside of the safe range lose precision. */
  toNested(): NestedNumbers {
    if (this.rank === 0) return Number(this.at());
    return Array.from({ length: this.shape[0] as number }, (_, i) => this.row(i).toNested());
  }

  /** Readable form in the style of NumPy; large tensors are abbreviated. */
  toString(): string {
    return formatTensor(this);
  }
}

function isShape(shape: readonly number[]): boolean {
  return shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0);
}

function checkShape(shape: readonly number[]): void {
  if (!isShape(shape)) {
    throw new ShapeError(`Tensor: dimensions must be non-negative integers, got [${shape.join(", ")}]`);
  }
}

function arrayName(data: unknown): string {
  return data?.constructor?.name ?? typeof data;
}

function collect(nested: NestedNumbers, shape: readonly number[], depth: number, out: number[]): void {
  if (typeof nested === "number") {
    if (depth !== shape.length) throw new ShapeError("Tensor.from: rows have different depths");
    out.push(nested);
    return;
  }
  if (nested.length !== shape[depth]) throw new ShapeError("Tensor.from: rows have different lengths");
  for (const item of nested) collect(item, shape, depth + 1, out);
}

function castData<E extends DType>(tensor: Tensor, dtype: E): StorageOf<E> {
  const source = tensor.data;
  // Every source becomes plain numbers (or bigints) first.
  const values: ArrayLike<number> | ArrayLike<bigint> = isNarrowFloat(tensor.dtype)
    ? decodeFloats(tensor.dtype, source as Uint16Array)
    : (source as ArrayLike<number> | ArrayLike<bigint>);
  const fromBigInt = isBigIntDType(tensor.dtype);
  if (isNarrowFloat(dtype)) {
    const numbers = fromBigInt ? Array.from(values as ArrayLike<bigint>, Number) : (values as ArrayLike<number>);
    return encodeFloats(dtype, numbers) as StorageOf<E>;
  }
  if (dtype === "float32" && values instanceof Float32Array) return values as StorageOf<E>;
  const out = allocate(dtype, source.length);
  const toBigInt = isBigIntDType(dtype);
  const truncate = dtypeKind(dtype) === "int";
  for (let i = 0; i < source.length; i++) {
    const value = values[i] as number | bigint;
    if (dtype === "bool") out[i] = (Number(value) !== 0 ? 1 : 0) as never;
    else if (toBigInt) out[i] = (typeof value === "bigint" ? value : BigInt(Math.trunc(finite(value)))) as never;
    // Only the low 32 bits of a 64-bit integer matter to a narrower one; as a double it would lose them above 2^53.
    else if (truncate && typeof value === "bigint") out[i] = Number(BigInt.asUintN(32, value)) as never;
    else out[i] = (truncate ? Math.trunc(Number(value)) : Number(value)) as never;
  }
  return out;
}

function finite(value: number): number {
  return Number.isFinite(value) ? value : 0;
}

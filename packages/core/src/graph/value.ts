/**
 * Graph values: an op, its inputs, its attributes, and the shape and dtype that follow from them. No data.
 *
 * `Ops` is the list of all ops. Whatever acts on ops (shape inference, the ONNX lowering, gradients, kernels) is a table
 * mapped over this list, so that an op without its row does not compile. Ops are kept small and orthogonal: what can be
 * composed without cost is a function in ops/ (clamp, softplus, ...), not an op. Where somebody wants to know what it is that was
 * composed (a norm, an activation, attention), it is a `composite`.
 */
import type { CompositeCall } from "./composites/composite-row.js";
import type { Dim } from "./dim.js";
import type { DType } from "./dtype.js";
import type { Tensor } from "./tensor.js";

/** Padding of the two spatial axes. */
export interface Padding2d {
  readonly top: number;
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
}

/** A pair of numbers for the vertical and the horizontal axis. */
export type Pair = readonly [vertical: number, horizontal: number];

/** Attributes of a convolution. */
export interface ConvAttributes {
  readonly stride: Pair;
  readonly padding: Padding2d;
  readonly dilation: Pair;
  readonly groups: number;
}

/** Attributes of a pool. */
export interface PoolAttributes {
  readonly kernel: Pair;
  readonly stride: Pair;
  readonly padding: Padding2d;
}

/** Attributes of a filter bank. */
export interface FilterBankAttributes {
  readonly axis: number;
  readonly stride: number;
  /** Zeros in front of the axis and behind it. */
  readonly before: number;
  readonly after: number;
}

/** Dtypes of quantized values. */
export type QuantizedDType = "int8" | "uint8";

/** Which real number a quantized one stands for: scale * (q - zeroPoint). */
export interface QuantizationGrid {
  readonly scale: number;
  readonly zeroPoint: number;
}

/** Attributes of a reduction. */
export interface ReduceAttributes {
  /** Non-negative, ascending. */
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}

type NoAttributes = Readonly<Record<never, never>>;
interface Row<Inputs extends readonly Value[], Attributes = NoAttributes> {
  readonly inputs: Inputs;
  readonly attributes: Attributes;
}
type Leaf<Attributes> = Row<readonly [], Attributes>;
type Unary<Attributes = NoAttributes> = Row<readonly [x: Value], Attributes>;
type Binary<Attributes = NoAttributes> = Row<readonly [a: Value, b: Value], Attributes>;

/** Every op: its inputs and attributes. Shapes are NCHW where an op is spatial. */
export interface Ops {
  /** Data that is given at each run. */
  input: Leaf<{ readonly name: string; readonly shape: readonly Dim[]; readonly dtype: DType }>;
  /** A named weight, held by the engine. */
  parameter: Leaf<ParameterSpec>;
  constant: Leaf<{ readonly tensor: Tensor }>;

  neg: Unary;
  abs: Unary;
  sign: Unary;
  exp: Unary;
  log: Unary;
  sqrt: Unary;
  sin: Unary;
  cos: Unary;
  tanh: Unary;
  sigmoid: Unary;
  erf: Unary;
  relu: Unary;
  cast: Unary<{ readonly dtype: DType }>;

  /** Binary ops broadcast as NumPy does. */
  add: Binary;
  sub: Binary;
  mul: Binary;
  div: Binary;
  pow: Binary;
  maximum: Binary;
  minimum: Binary;
  /** Comparisons give bool. */
  equal: Binary;
  greater: Binary;
  less: Binary;
  /** Elements of `a` where `condition` holds, otherwise of `b`. */
  where: Row<readonly [condition: Value, a: Value, b: Value]>;

  reduceSum: Unary<ReduceAttributes>;
  reduceMean: Unary<ReduceAttributes>;
  reduceMax: Unary<ReduceAttributes>;
  softmax: Unary<{ readonly axis: number }>;

  /** Batched matrix product as NumPy's matmul, ranks of at least 2. */
  matmul: Binary;
  /** Cross-correlation; weight [O, I/groups, kh, kw], bias [O]. */
  conv2d: Row<readonly [x: Value, weight: Value] | readonly [x: Value, weight: Value, bias: Value], ConvAttributes>;
  /** Transposed convolution, the adjoint of conv2d; weight [I, O/groups, kh, kw]. */
  convTranspose2d: Binary<ConvAttributes & { readonly outputPadding: Pair }>;
  /**
   * Strided correlation along one axis with n filters [n, k] at once; the filter's index becomes the first axis:
   * y[f, ..., t, ...] is the sum over i of filters[f, i] * x[..., stride * t + i - before, ...], x being 0 outside.
   */
  filterBank: Row<readonly [x: Value, filters: Value], FilterBankAttributes>;
  /**
   * round(x / scale) + zeroPoint in integers of 8 bits, ties to even, clamped to their range; scale has one element, or one per
   * index of `axis`.
   */
  quantizeLinear: Row<
    readonly [x: Value, scale: Value],
    { readonly axis: number; readonly zeroPoint: number; readonly dtype: QuantizedDType }
  >;
  /** (x - zeroPoint) * scale of integers of 8 bits, in scale's dtype; the inverse of quantizeLinear up to rounding. */
  dequantizeLinear: Row<readonly [x: Value, scale: Value], { readonly axis: number; readonly zeroPoint: number }>;
  /**
   * conv2d of the real numbers that uint8 x and int8 weight stand for, rounded to the grid of the output, as uint8. Padding is
   * real zeros. The weight's zero point is 0, it has a scale per output channel [O]; the int32 bias is in units of
   * input.scale * weightScale.
   */
  qlinearConv2d: Row<
    | readonly [x: Value, weight: Value, weightScale: Value]
    | readonly [x: Value, weight: Value, weightScale: Value, bias: Value],
    ConvAttributes & { readonly input: QuantizationGrid; readonly output: QuantizationGrid }
  >;
  maxPool2d: Unary<PoolAttributes>;
  averagePool2d: Unary<PoolAttributes & { readonly countIncludePad: boolean }>;

  reshape: Unary<{ readonly shape: readonly Dim[] }>;
  transpose: Unary<{ readonly permutation: readonly number[] }>;
  /** Broadcast to a larger shape. */
  expand: Unary<{ readonly shape: readonly Dim[] }>;
  /** One range for each axis of `axes`; steps are positive. */
  slice: Unary<{
    readonly axes: readonly number[];
    readonly starts: readonly number[];
    readonly stops: readonly number[];
    readonly steps: readonly number[];
  }>;
  /** `before` and `after` have an entry per axis. */
  pad: Unary<{
    readonly before: readonly number[];
    readonly after: readonly number[];
    readonly mode: "constant" | "reflect" | "edge";
    readonly value: number;
  }>;
  concat: Row<readonly Value[], { readonly axis: number }>;
  /** Items of `data` along `axis` at integer `indices`. */
  gather: Row<readonly [data: Value, indices: Value], { readonly axis: number }>;
  /** [B, C*r*r, H, W] to [B, C, H*r, W*r], channel order c*r*r + i*r + j. */
  pixelShuffle: Unary<{ readonly factor: number }>;
  /** Inverse of pixelShuffle. */
  pixelUnshuffle: Unary<{ readonly factor: number }>;
  /** Nearest-neighbor upsampling of H and W by an integer factor. */
  upsampleNearest2d: Unary<{ readonly factor: number }>;

  /**
   * The sum of the values that the ranks of a parallel run have here, for all of them the same bits. What is run is the parts of a
   * program before and behind such a sum, and between them the ranks exchange; with one rank it is x.
   */
  sumOverRanks: Unary<{ readonly ranks: number }>;

  /** Other ops under a name: the value of `body`, an expression of the inputs. See composites/composite-table.ts. */
  composite: Row<readonly Value[], CompositeCall>;
}

/** Names of ops. */
export type OpName = keyof Ops;
/** The values that an op takes. */
export type OpInputs<K extends OpName> = Ops[K]["inputs"];
/** The attributes of an op. */
export type OpAttributes<K extends OpName> = Ops[K]["attributes"];

/** A value made by op `K`. */
export interface ValueOf<K extends OpName> {
  readonly op: K;
  readonly inputs: OpInputs<K>;
  readonly attributes: OpAttributes<K>;
  readonly shape: readonly Dim[];
  readonly dtype: DType;
  /** Name of the parameter that entered last on the way to this value ("" before the first): for error messages. */
  readonly path: string;
}

/** A node of the graph. Discriminated by `op`. */
export type Value = { [K in OpName]: ValueOf<K> }[OpName];

/** How the initial values of a parameter are drawn (PyTorch's defaults, dcae.md section 11). */
export type Initializer =
  /** Uniform in [-bound, bound]. */
  | { readonly kind: "uniform"; readonly bound: number }
  /** Normal, with mean 0 unless it says another. */
  | { readonly kind: "normal"; readonly std: number; readonly mean?: number }
  | { readonly kind: "constant"; readonly value: number }
  /** Fixed values in row-major order (a table of sines), made when they are needed. */
  | { readonly kind: "computed"; readonly values: () => Float32Array };

/** A parameter of a program: name, shape, type, and how it begins. */
export interface ParameterSpec {
  /** Official name, with dots, as in `encoder.stages.1.op_list.0.main.conv1.conv.weight`. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly init: Initializer;
  /** false for buffers (batch-norm statistics), which no optimizer changes. */
  readonly trainable: boolean;
}

/** Products and convolutions, and their forms with numbers of 8 bits. */
import { build } from "../build.js";
import { resolveAxis } from "../infer/rule.js";
import type { ConvAttributes, Padding2d, Pair, QuantizationGrid, QuantizedDType, Value } from "../value.js";

/** Batched matrix product [..., M, K] x [..., K, N]; the leading axes broadcast. */
export function matmul(a: Value, b: Value): Value {
  return build("matmul", [a, b], {});
}

/** One number for both axes, or a pair [vertical, horizontal]. */
export type PairLike = number | Pair;
/** One number for all sides, or each side. */
export type PaddingLike = number | Padding2d;

const pair = (value: PairLike): Pair => (typeof value === "number" ? [value, value] : value);
const sides = (value: PaddingLike): Padding2d =>
  typeof value === "number" ? { top: value, left: value, bottom: value, right: value } : value;

/** Options of `conv2d`. */
export interface Conv2dOptions {
  readonly bias?: Value | undefined;
  readonly stride?: PairLike;
  /** Zero padding (default 0). */
  readonly padding?: PaddingLike;
  readonly dilation?: PairLike;
  readonly groups?: number;
}

/** Options of a convolution with their defaults, in the full form that the op has. */
export function convAttributes(options: Omit<Conv2dOptions, "bias">): ConvAttributes {
  const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
  return { stride: pair(stride), padding: sides(padding), dilation: pair(dilation), groups };
}

/** Cross-correlation of x [N, I, H, W] with weight [O, I/groups, kh, kw]. */
export function conv2d(x: Value, weight: Value, options: Conv2dOptions = {}): Value {
  const { bias } = options;
  return build("conv2d", bias === undefined ? [x, weight] : [x, weight, bias], convAttributes(options));
}

/** Options of `convTranspose2d`. */
export interface ConvTranspose2dOptions extends Omit<Conv2dOptions, "bias"> {
  /** Rows and columns added at the bottom and right of the output. */
  readonly outputPadding?: PairLike;
}

/** The adjoint of conv2d: x [N, I, H, W], weight [I, O/groups, kh, kw]. */
export function convTranspose2d(x: Value, weight: Value, options: ConvTranspose2dOptions = {}): Value {
  const { stride = 1, padding = 0, dilation = 1, groups = 1, outputPadding = 0 } = options;
  return build("convTranspose2d", [x, weight], {
    stride: pair(stride),
    padding: sides(padding),
    dilation: pair(dilation),
    groups,
    outputPadding: pair(outputPadding),
  });
}

/** Options of `filterBank`. */
export interface FilterBankOptions {
  readonly axis: number;
  readonly stride?: number;
  /** Zeros in front of the axis and behind it (default 0). */
  readonly before?: number;
  readonly after?: number;
}

/** Every filter of `filters` [n, k] along one axis of x; the result is [n, ...x.shape] with that axis shortened. */
export function filterBank(x: Value, filters: Value, options: FilterBankOptions): Value {
  const { axis, stride = 1, before = 0, after = 0 } = options;
  const resolved = resolveAxis("filterBank", x, axis);
  return build("filterBank", [x, filters], { axis: resolved, stride, before, after });
}

/** Options of the pools. */
export interface Pool2dOptions {
  /** Default: the kernel size. */
  readonly stride?: PairLike;
  readonly padding?: PaddingLike;
}

/** Maximum over windows; padding never wins. */
export function maxPool2d(x: Value, kernel: PairLike, options: Pool2dOptions = {}): Value {
  const { stride = kernel, padding = 0 } = options;
  return build("maxPool2d", [x], { kernel: pair(kernel), stride: pair(stride), padding: sides(padding) });
}

/** Mean over windows; `countIncludePad` says whether padding counts in the divisor (default true, as PyTorch). */
export function averagePool2d(
  x: Value,
  kernel: PairLike,
  options: Pool2dOptions & { readonly countIncludePad?: boolean } = {},
): Value {
  const { stride = kernel, padding = 0, countIncludePad = true } = options;
  const attributes = { kernel: pair(kernel), stride: pair(stride), padding: sides(padding), countIncludePad };
  return build("averagePool2d", [x], attributes);
}

/** Options of `quantizeLinear` and `dequantizeLinear`. */
export interface QuantizeOptions {
  /** Of a scale with several elements (default 0). */
  readonly axis?: number;
  /** What stands for 0 (default 0). */
  readonly zeroPoint?: number;
  /** Default uint8. */
  readonly dtype?: QuantizedDType;
}

/** A scalar x has no axis, but the axis of its single scale is 0. */
const scaleAxis = (op: string, x: Value, axis: number) => resolveAxis(op, x, axis, Math.max(1, x.shape.length));

/** round(x / scale) + zeroPoint, ties to even, clamped to the dtype's range. */
export function quantizeLinear(x: Value, scale: Value, options: QuantizeOptions = {}): Value {
  const { axis = 0, zeroPoint = 0, dtype = "uint8" } = options;
  return build("quantizeLinear", [x, scale], { axis: scaleAxis("quantizeLinear", x, axis), zeroPoint, dtype });
}

/** (x - zeroPoint) * scale. */
export function dequantizeLinear(x: Value, scale: Value, options: Omit<QuantizeOptions, "dtype"> = {}): Value {
  const { axis = 0, zeroPoint = 0 } = options;
  return build("dequantizeLinear", [x, scale], { axis: scaleAxis("dequantizeLinear", x, axis), zeroPoint });
}

/** Options of `qlinearConv2d`: those of a convolution, and the grids of what it takes and gives. */
export interface QLinearConv2dOptions extends Conv2dOptions {
  /** Of x. */
  readonly input: QuantizationGrid;
  /** Of the result. */
  readonly output: QuantizationGrid;
}

/**
 * Convolution of uint8 x [N, I, H, W] with int8 weight [O, I/groups, kh, kw] and its scales [O]; the bias [O] is int32, in units
 * of input.scale * weightScale.
 */
export function qlinearConv2d(x: Value, weight: Value, weightScale: Value, options: QLinearConv2dOptions): Value {
  const { bias, input, output } = options;
  const inputs = bias === undefined ? ([x, weight, weightScale] as const) : ([x, weight, weightScale, bias] as const);
  return build("qlinearConv2d", inputs, { ...convAttributes(options), input, output });
}

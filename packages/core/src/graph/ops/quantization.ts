/** Numbers of 8 bits and convolutions of them (ONNX's QuantizeLinear, DequantizeLinear and QLinearConv). */
import { build } from "../build.js";
import { resolveAxis } from "../infer/rule.js";
import type { QuantizationGrid, QuantizedDType, Value } from "../value.js";
import { type Conv2dOptions, convAttributes } from "./linear.js";

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

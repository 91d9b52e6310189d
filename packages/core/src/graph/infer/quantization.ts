/** Shape rules of quantized numbers and convolutions. */
import { isStaticShape } from "../dim.js";
import { dtypeKind } from "../dtype.js";
import { sizeOf } from "../tensor.js";
import type { ConvAttributes, OpName, QuantizationGrid, QuantizedDType, Value } from "../value.js";
import { type InferRule, shapeError } from "./rule.js";
import { spatialRules } from "./spatial.js";

const RANGES: Readonly<Record<QuantizedDType, readonly [low: number, high: number]>> = {
  int8: [-128, 127],
  uint8: [0, 255],
};

const isQuantized = (value: Value): value is Value & { readonly dtype: QuantizedDType } =>
  Object.hasOwn(RANGES, value.dtype);

function checkZeroPoint(op: OpName, inputs: readonly Value[], zeroPoint: number, dtype: QuantizedDType): void {
  const [low, high] = RANGES[dtype];
  if (!Number.isInteger(zeroPoint) || zeroPoint < low || zeroPoint > high) {
    throw shapeError(op, inputs, `the zero point ${zeroPoint} is no ${dtype}`);
  }
}

function checkGrid(op: OpName, inputs: readonly Value[], { scale, zeroPoint }: QuantizationGrid): void {
  if (!(scale > 0 && Number.isFinite(scale))) throw shapeError(op, inputs, `the scale ${scale} isn't positive`);
  checkZeroPoint(op, inputs, zeroPoint, "uint8");
}

/** One scale for everything, or one per index of the axis. */
function checkScale(op: OpName, [x, scale]: readonly [Value, Value], axis: number): void {
  if (!isStaticShape(scale.shape) || dtypeKind(scale.dtype) !== "float") {
    throw shapeError(op, [x, scale], "needs a static float scale");
  }
  const single = scale.shape.length === 0;
  const fits = Number.isInteger(axis) && axis >= 0 && axis < Math.max(1, x.shape.length);
  if (!fits || !(single || (scale.shape.length === 1 && x.shape[axis] === sizeOf(scale.shape)))) {
    throw shapeError(op, [x, scale], `needs a scale [] or one per index of axis ${axis}`);
  }
}

export const quantizationRules = {
  quantizeLinear: (inputs, { axis, zeroPoint, dtype }) => {
    const [x, scale] = inputs;
    if (x.dtype !== scale.dtype) throw shapeError("quantizeLinear", inputs, "the dtypes differ");
    checkScale("quantizeLinear", inputs, axis);
    checkZeroPoint("quantizeLinear", inputs, zeroPoint, dtype);
    return { shape: x.shape, dtype };
  },
  dequantizeLinear: (inputs, { axis, zeroPoint }) => {
    const [x, scale] = inputs;
    if (!isQuantized(x)) throw shapeError("dequantizeLinear", inputs, "needs int8 or uint8");
    checkScale("dequantizeLinear", inputs, axis);
    checkZeroPoint("dequantizeLinear", inputs, zeroPoint, x.dtype);
    return { shape: x.shape, dtype: scale.dtype };
  },
  qlinearConv2d: (inputs, attributes) => {
    const [x, weight, weightScale, bias] = inputs;
    if (x.dtype !== "uint8" || weight.dtype !== "int8") {
      throw shapeError("qlinearConv2d", inputs, "needs x in uint8 and the weight in int8");
    }
    checkGrid("qlinearConv2d", inputs, attributes.input);
    checkGrid("qlinearConv2d", inputs, attributes.output);
    const channels = weight.shape[0];
    for (const perChannel of bias === undefined ? [weightScale] : [weightScale, bias]) {
      if (perChannel.shape.length !== 1 || perChannel.shape[0] !== channels) {
        throw shapeError("qlinearConv2d", inputs, `needs scales and biases [${channels}]`);
      }
    }
    if (weightScale.dtype !== "float32" || (bias !== undefined && bias.dtype !== "int32")) {
      throw shapeError("qlinearConv2d", inputs, "needs float32 scales and int32 biases");
    }
    const { stride, padding, dilation, groups } = attributes;
    const geometry: ConvAttributes = { stride, padding, dilation, groups };
    // The geometry is that of a convolution; its rule wants one dtype.
    const { shape } = spatialRules.conv2d([x, { ...weight, dtype: "uint8" }], geometry);
    return { shape, dtype: "uint8" };
  },
} satisfies { [K in OpName]?: InferRule<K> };

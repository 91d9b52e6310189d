/** Shape rules of matrix products, convolutions, pooling and resampling. */
import { type Dim, dimAdd, dimDivide, dimEqual, dimMultiply, isStaticShape } from "../dim.js";
import { dtypeKind } from "../dtype.js";
import { sizeOf } from "../tensor.js";
import type { ConvAttributes, OpName, PoolAttributes, QuantizationGrid, QuantizedDType, Value } from "../value.js";
import { broadcastShapes } from "./elementwise-and-layout.js";
import { checkIntegers, type InferRule, type Inferred, shapeError } from "./rule.js";

/**
 * Output size of a sliding window: floor((size + padding - extent) / stride) + 1.
 *
 * A symbolic size is accepted where the floor doesn't depend on the symbols: stride divides it, and the remainder of
 * the window contributes a constant.
 */
function windowedSize(size: Dim, extent: number, stride: number, padding: number): Dim | undefined {
  if (typeof size === "number") {
    const out = Math.floor((size + padding - extent) / stride) + 1;
    return out >= 1 ? out : undefined;
  }
  const steps = dimDivide(size, stride);
  return steps && dimAdd(steps, Math.floor((padding - extent) / stride) + 1);
}

interface Window extends PoolAttributes {
  readonly dilation?: readonly [number, number];
}

function checkWindow(
  op: OpName,
  inputs: readonly Value[],
  { kernel, stride, padding, dilation = [1, 1] }: Window,
): void {
  checkIntegers(op, inputs, { kernel, stride, dilation }, 1);
  checkIntegers(op, inputs, { padding: [padding.top, padding.left, padding.bottom, padding.right] }, 0);
}

function slide(op: OpName, inputs: readonly Value[], x: Value, window: Window): [Dim, Dim] {
  checkWindow(op, inputs, window);
  const { kernel, stride, padding, dilation = [1, 1] } = window;
  const extents = [(kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1] as const;
  const height = windowedSize(x.shape[2] as Dim, extents[0], stride[0], padding.top + padding.bottom);
  const width = windowedSize(x.shape[3] as Dim, extents[1], stride[1], padding.left + padding.right);
  if (height === undefined || width === undefined) {
    throw shapeError(op, inputs, `a ${extents.join("x")} window with stride ${stride.join("x")} doesn't fit`);
  }
  return [height, width];
}

function requireRank4(op: OpName, inputs: readonly Value[]): void {
  if (inputs[0]?.shape.length !== 4) throw shapeError(op, inputs, "needs [N, C, H, W]");
}

function weightShape(op: OpName, inputs: readonly Value[], weight: Value): readonly [number, number, number, number] {
  const shape = weight.shape;
  if (shape.length !== 4 || !shape.every((dim) => typeof dim === "number")) {
    throw shapeError(op, inputs, "needs a static weight of rank 4");
  }
  return shape as readonly [number, number, number, number];
}

function checkDType(op: OpName, inputs: readonly Value[]): void {
  if (inputs.some((input) => input.dtype !== inputs[0]?.dtype)) throw shapeError(op, inputs, "the dtypes differ");
}

function pool(op: OpName): (inputs: readonly [Value], attributes: PoolAttributes) => Inferred {
  return (inputs, attributes) => {
    requireRank4(op, inputs);
    const [x] = inputs;
    const { kernel, padding } = attributes;
    const [vertical, horizontal] = [Math.max(padding.top, padding.bottom), Math.max(padding.left, padding.right)];
    if (vertical >= kernel[0] || horizontal >= kernel[1]) {
      throw shapeError(op, inputs, `padding of ${vertical}x${horizontal} leaves windows of ${kernel.join("x")} empty`);
    }
    return { shape: [...x.shape.slice(0, 2), ...slide(op, inputs, x, attributes)], dtype: x.dtype };
  };
}

export const spatialRules = {
  matmul: (inputs) => {
    const [a, b] = inputs;
    checkDType("matmul", inputs);
    if (a.shape.length < 2 || b.shape.length < 2) throw shapeError("matmul", inputs, "needs ranks of at least 2");
    const [rows, inner] = a.shape.slice(-2) as [Dim, Dim];
    const [depth, columns] = b.shape.slice(-2) as [Dim, Dim];
    if (!dimEqual(inner, depth)) throw shapeError("matmul", inputs, "the inner dimensions differ");
    const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2));
    if (batch === undefined) throw shapeError("matmul", inputs, "the batch dimensions don't broadcast");
    return { shape: [...batch, rows, columns], dtype: a.dtype };
  },
  conv2d: (inputs, attributes) => {
    requireRank4("conv2d", inputs);
    checkDType("conv2d", inputs);
    const [x, weight, bias] = inputs;
    const [out, inPerGroup, height, width] = weightShape("conv2d", inputs, weight);
    const { groups } = attributes;
    checkIntegers("conv2d", inputs, { groups }, 1);
    if (x.shape[1] !== inPerGroup * groups || out % groups !== 0) {
      throw shapeError("conv2d", inputs, `the channels don't fit the weight with ${groups} group(s)`);
    }
    if (bias && !(bias.shape.length === 1 && bias.shape[0] === out)) {
      throw shapeError("conv2d", inputs, `the bias must be [${out}]`);
    }
    const spatial = slide("conv2d", inputs, x, { ...attributes, kernel: [height, width] });
    return { shape: [x.shape[0] as Dim, out, ...spatial], dtype: x.dtype };
  },
  convTranspose2d: (inputs, attributes) => {
    requireRank4("convTranspose2d", inputs);
    checkDType("convTranspose2d", inputs);
    const [x, weight] = inputs;
    const [channels, outPerGroup, height, width] = weightShape("convTranspose2d", inputs, weight);
    const { groups, outputPadding } = attributes;
    checkWindow("convTranspose2d", inputs, { ...attributes, kernel: [height, width] });
    checkIntegers("convTranspose2d", inputs, { groups }, 1);
    checkIntegers("convTranspose2d", inputs, { "output padding": outputPadding }, 0);
    if (x.shape[1] !== channels || channels % groups !== 0) {
      throw shapeError("convTranspose2d", inputs, "the channels don't fit the weight");
    }
    const spatial = transposedSize(x, [height, width], attributes);
    if (spatial.includes(undefined)) throw shapeError("convTranspose2d", inputs, "the padded size isn't known");
    if (spatial.some((size) => typeof size === "number" && size < 1)) {
      throw shapeError("convTranspose2d", inputs, "nothing is left inside of the padding");
    }
    return { shape: [x.shape[0] as Dim, outPerGroup * groups, ...(spatial as Dim[])], dtype: x.dtype };
  },
  filterBank: (inputs, { axis, stride, before, after }) => {
    checkDType("filterBank", inputs);
    const [x, filters] = inputs;
    const [count, length] = filters.shape as readonly [Dim, Dim];
    if (filters.shape.length !== 2 || typeof length !== "number") {
      throw shapeError("filterBank", inputs, "needs filters [n, k] of a fixed length");
    }
    checkIntegers("filterBank", inputs, { stride, taps: length }, 1);
    checkIntegers("filterBank", inputs, { "the amount of zeros": [before, after] }, 0);
    const size = windowedSize(x.shape[axis] as Dim, length, stride, before + after);
    if (size === undefined) throw shapeError("filterBank", inputs, `${length} taps don't fit along axis ${axis}`);
    return { shape: [count, ...x.shape.map((dim, i) => (i === axis ? size : dim))], dtype: x.dtype };
  },
  maxPool2d: pool("maxPool2d"),
  averagePool2d: pool("averagePool2d"),
  pixelShuffle: (inputs, { factor }) => {
    requireRank4("pixelShuffle", inputs);
    checkIntegers("pixelShuffle", inputs, { factor }, 1);
    const [n, c, h, w] = inputs[0].shape as readonly [Dim, Dim, Dim, Dim];
    const channels = dimDivide(c, factor * factor);
    if (channels === undefined) throw shapeError("pixelShuffle", inputs, `channels must divide by ${factor * factor}`);
    return { shape: [n, channels, dimMultiply(h, factor), dimMultiply(w, factor)], dtype: inputs[0].dtype };
  },
  pixelUnshuffle: (inputs, { factor }) => {
    requireRank4("pixelUnshuffle", inputs);
    checkIntegers("pixelUnshuffle", inputs, { factor }, 1);
    const [n, c, h, w] = inputs[0].shape as readonly [Dim, Dim, Dim, Dim];
    const [height, width] = [dimDivide(h, factor), dimDivide(w, factor)];
    if (height === undefined || width === undefined) {
      throw shapeError("pixelUnshuffle", inputs, `height and width must be multiples of ${factor}`);
    }
    return { shape: [n, dimMultiply(c, factor * factor), height, width], dtype: inputs[0].dtype };
  },
  upsampleNearest2d: (inputs, { factor }) => {
    requireRank4("upsampleNearest2d", inputs);
    checkIntegers("upsampleNearest2d", inputs, { factor }, 1);
    const [n, c, h, w] = inputs[0].shape as readonly [Dim, Dim, Dim, Dim];
    return { shape: [n, c, dimMultiply(h, factor), dimMultiply(w, factor)], dtype: inputs[0].dtype };
  },
} satisfies { [K in OpName]?: InferRule<K> };

/** (size - 1) * stride - padding + extent + outputPadding, per axis. */
function transposedSize(
  x: Value,
  kernel: readonly [number, number],
  { stride, padding, dilation, outputPadding }: ConvAttributes & { readonly outputPadding: readonly [number, number] },
): (Dim | undefined)[] {
  const pads = [padding.top + padding.bottom, padding.left + padding.right];
  return kernel.map((size, axis) => {
    const extent = (size - 1) * (dilation[axis] as number) + 1;
    const step = stride[axis] as number;
    const offset = extent - step - (pads[axis] as number) + (outputPadding[axis] as number);
    return dimAdd(dimMultiply(x.shape[axis + 2] as Dim, step), offset);
  });
}

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

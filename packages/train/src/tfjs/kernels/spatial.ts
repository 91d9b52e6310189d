/**
 * tfjs kernels of matrix products, convolutions and pooling, in floats and in quantized numbers, which are int32 there (sums of products
 * are exact in float32 up to 2^24).
 *
 * Convolutions on tfjs want channels last, and neither groups nor a dilation beside a stride nor padding per side. So: padding is
 * explicit, groups are split and joined (depthwise has an op of its own), and where a dilation isn't taken, zeros are put between
 * the kernel's elements.
 */
import type { ConvAttributes, OpName, Padding2d, PoolAttributes, QuantizedDType } from "@dcae/core/graph";
import type * as tfjs from "@tensorflow/tfjs-core";
import { type Kernel, sizes, type Tf, type TfTensor } from "../kernel.js";

/** What no element wins against: padding of a maximum. */
const LOWEST = -3.4028234663852886e38;

/** Backends differ in what they broadcast, so both operands get the same leading axes, as one. */
function multiply(tf: Tf, a: TfTensor, b: TfTensor, shape: readonly number[]): TfTensor {
  const [rows, inner] = a.shape.slice(-2) as [number, number];
  const columns = b.shape.at(-1) as number;
  if (b.shape.slice(0, -2).every((dim) => dim === 1)) {
    const matrix = tf.reshape(b, [inner, columns]);
    return tf.reshape(tf.matMul(tf.reshape(a, [-1, inner]), matrix), [...shape]);
  }
  const batch = shape.slice(0, -2);
  const count = batch.reduce((product, dim) => product * dim, 1);
  const spread = (x: TfTensor, height: number, width: number) =>
    tf.reshape(tf.broadcastTo(x, [...batch, height, width]), [count, height, width]);
  return tf.reshape(tf.matMul(spread(a, rows, inner), spread(b, inner, columns)), [...shape]);
}

function averagePool(tf: Tf, x: TfTensor, { kernel, stride, padding }: PoolAttributes): TfTensor {
  const padded = padLast(tf, channelsLast(tf, x), padding);
  return channelsFirst(tf, tf.avgPool(padded, [...kernel], [...stride], "valid"));
}

export const spatialKernels = {
  matmul: (tf, value, [a, b]) => multiply(tf, a as TfTensor, b as TfTensor, sizes(value)),
  conv2d: (tf, { attributes }, [x, weight, bias]) => {
    const y = convolve(tf, x as TfTensor, weight as TfTensor, attributes);
    return bias === undefined ? y : tf.add(y, tf.reshape(bias, [1, -1, 1, 1]));
  },
  convTranspose2d: (tf, value, [x, weight]) => {
    const [, , height, width] = sizes(value) as [number, number, number, number];
    return convolveTransposed(tf, x as TfTensor, weight as TfTensor, value.attributes, [height, width]);
  },
  filterBank: (tf, value, [x, filters]) => {
    const { axis, stride, before, after } = value.attributes;
    const [count, ...window] = sizes(value) as [number, ...number[]];
    const [length, positions] = [sizes(value.inputs[1])[1] as number, window[axis] as number];
    const amounts = sizes(value.inputs[0]).map((_, i): [number, number] => (i === axis ? [before, after] : [0, 0]));
    // All windows behind each other along the axis, and then their taps in front.
    const reads = Array.from(
      { length: length * positions },
      (_, i) => Math.floor(i / positions) + (i % positions) * stride,
    );
    const windows = tf.gather(tf.pad(x as TfTensor, amounts), tf.tensor1d(reads, "int32"), axis);
    const [left, right] = [window.slice(0, axis), window.slice(axis + 1)].map((dims) =>
      dims.reduce((a, b) => a * b, 1),
    );
    const taps = tf.transpose(tf.reshape(windows, [left as number, length, positions, right as number]), [1, 0, 2, 3]);
    return tf.reshape(tf.matMul(filters as TfTensor, tf.reshape(taps, [length, -1])), [count, ...window]);
  },
  maxPool2d: (tf, { attributes: { kernel, stride, padding } }, [x]) => {
    const padded = padLast(tf, channelsLast(tf, x as TfTensor), padding, LOWEST);
    return channelsFirst(tf, tf.maxPool(padded, [...kernel], [...stride], "valid"));
  },
  averagePool2d: (tf, { attributes }, [x]) => {
    const pooled = averagePool(tf, x as TfTensor, attributes);
    if (attributes.countIncludePad) return pooled;
    const [, , height, width] = (x as TfTensor).shape as [number, number, number, number];
    return tf.div(pooled, averagePool(tf, tf.ones([1, 1, height, width]), attributes));
  },
} satisfies { [K in OpName]?: Kernel<K> };

type Tensor4 = tfjs.Tensor4D;

const TO_LAST = [0, 2, 3, 1];
const TO_FIRST = [0, 3, 1, 2];

function channelsLast(tf: Tf, x: TfTensor): Tensor4 {
  return tf.transpose(x, TO_LAST) as Tensor4;
}

function channelsFirst(tf: Tf, x: TfTensor): TfTensor {
  return tf.transpose(x, TO_FIRST);
}

/** Padding of an NHWC tensor. */
function padLast(tf: Tf, x: Tensor4, { top, bottom, left, right }: Padding2d, value = 0): Tensor4 {
  if (top + bottom + left + right === 0) return x;
  const amounts: [number, number][] = [
    [0, 0],
    [top, bottom],
    [left, right],
    [0, 0],
  ];
  return tf.pad(x, amounts, value);
}

/** Zeros between the elements of a kernel [kh, kw, a, b]. */
function dilate(tf: Tf, kernel: Tensor4, [vertical, horizontal]: readonly [number, number]): Tensor4 {
  const [height, width, a, b] = kernel.shape;
  if (vertical === 1 && horizontal === 1) return kernel;
  const cells = tf.pad(tf.reshape(kernel, [height, 1, width, 1, a * b]), [
    [0, 0],
    [0, vertical - 1],
    [0, 0],
    [0, horizontal - 1],
    [0, 0],
  ]);
  const spread = tf.reshape<tfjs.Rank.R4>(cells, [height * vertical, width * horizontal, a, b]);
  return tf.slice(spread, [0, 0, 0, 0], [(height - 1) * vertical + 1, (width - 1) * horizontal + 1, a, b]);
}

/** Runs `each` on every group of channels and joins the results; channel axis is the last of `x`, the first of `weight`. */
function perGroup(
  tf: Tf,
  x: Tensor4,
  weight: TfTensor,
  groups: number,
  each: (x: Tensor4, weight: TfTensor) => TfTensor,
): Tensor4 {
  if (groups === 1) return each(x, weight) as Tensor4;
  const parts = tf.split<Tensor4>(x, groups, 3).map((part, g) => {
    const size = (weight.shape[0] as number) / groups;
    const rest = weight.shape.slice(1);
    return each(part, tf.slice(weight, [g * size, ...rest.map(() => 0)], [size, ...rest]));
  });
  return tf.concat(parts as Tensor4[], 3);
}

/** Cross-correlation of NCHW `x` with `weight` [O, I/groups, kh, kw]. */
function convolve(tf: Tf, x: TfTensor, weight: TfTensor, attributes: ConvAttributes): TfTensor {
  const { padding, groups } = attributes;
  const stride = [...attributes.stride] as [number, number];
  const input = padLast(tf, channelsLast(tf, x), padding);
  const [out, inPerGroup, height, width] = weight.shape as [number, number, number, number];
  if (groups > 1 && inPerGroup === 1 && stride[0] === stride[1]) {
    const multiplier = out / groups;
    const kernel = tf.transpose(tf.reshape(weight, [groups, multiplier, height, width]), [2, 3, 0, 1]) as Tensor4;
    return channelsFirst(tf, tf.depthwiseConv2d(input, dilate(tf, kernel, attributes.dilation), stride, "valid"));
  }
  const result = perGroup(tf, input, weight, groups, (part, own) => {
    const kernel = dilate(tf, tf.transpose(own, [2, 3, 1, 0]) as Tensor4, attributes.dilation);
    return tf.conv2d(part, kernel, stride, "valid");
  });
  return channelsFirst(tf, result);
}

/** The adjoint: NCHW `x`, `weight` [I, O/groups, kh, kw], to an output of the given height and width. */
function convolveTransposed(
  tf: Tf,
  x: TfTensor,
  weight: TfTensor,
  attributes: ConvAttributes,
  [outHeight, outWidth]: readonly [number, number],
): TfTensor {
  const { padding, groups } = attributes;
  const stride = [...attributes.stride] as [number, number];
  const full = perGroup(tf, channelsLast(tf, x), weight, groups, (part, own) => {
    const kernel = dilate(tf, tf.transpose(own, [2, 3, 1, 0]) as Tensor4, attributes.dilation);
    const [batch, height, width] = part.shape;
    const [kernelHeight, kernelWidth, channels] = kernel.shape;
    const shape: [number, number, number, number] = [
      batch,
      (height - 1) * stride[0] + kernelHeight,
      (width - 1) * stride[1] + kernelWidth,
      channels,
    ];
    return tf.conv2dTranspose(part, kernel, shape, stride, "valid");
  });
  const [batch, height, width, channels] = full.shape;
  // Padding cuts the border off; output padding adds rows and columns that nothing reached.
  const filled = padLast(tf, full, {
    top: 0,
    left: 0,
    bottom: Math.max(padding.top + outHeight - height, 0),
    right: Math.max(padding.left + outWidth - width, 0),
  });
  return channelsFirst(tf, tf.slice(filled, [0, padding.top, padding.left, 0], [batch, outHeight, outWidth, channels]));
}

/** tfjs rounds ties to even, as ONNX does. */
function toGrid(tf: Tf, steps: TfTensor, zeroPoint: number, dtype: QuantizedDType): TfTensor {
  const [low, high] = dtype === "int8" ? [-128, 127] : [0, 255];
  return tf.cast(tf.clipByValue(tf.add(tf.round(steps), zeroPoint), low, high), "int32");
}

/** A scale per index of `axis`, in a shape that broadcasts; a single one as it is. */
function alongAxis(tf: Tf, scale: TfTensor, axis: number, rank: number): TfTensor {
  if (scale.rank === 0) return scale;
  const shape = Array.from({ length: rank }, (_, i) => (i === axis ? scale.size : 1));
  return tf.reshape(scale, shape);
}

const real = (tf: Tf, x: TfTensor, zeroPoint: number) => tf.sub(tf.cast(x, "float32"), zeroPoint);

export const quantizationKernels = {
  quantizeLinear: (tf, { attributes: { axis, zeroPoint, dtype } }, [x, scale]) => {
    const steps = tf.div(x as TfTensor, alongAxis(tf, scale as TfTensor, axis, (x as TfTensor).rank));
    return toGrid(tf, steps, zeroPoint, dtype);
  },
  dequantizeLinear: (tf, { attributes: { axis, zeroPoint } }, [x, scale]) =>
    tf.mul(real(tf, x as TfTensor, zeroPoint), alongAxis(tf, scale as TfTensor, axis, (x as TfTensor).rank)),
  qlinearConv2d: (tf, { attributes }, [x, weight, weightScale, bias]) => {
    const { input, output } = attributes;
    const perChannel = (values: TfTensor) => tf.reshape(tf.cast(values, "float32"), [1, -1, 1, 1]);
    const products = convolve(
      tf,
      real(tf, x as TfTensor, input.zeroPoint),
      real(tf, weight as TfTensor, 0),
      attributes,
    );
    const sums = bias === undefined ? products : tf.add(products, perChannel(bias));
    const factor = tf.div(tf.mul(perChannel(weightScale as TfTensor), input.scale), output.scale);
    return toGrid(tf, tf.mul(sums, factor), output.zeroPoint, "uint8");
  },
} satisfies { [K in OpName]?: Kernel<K> };

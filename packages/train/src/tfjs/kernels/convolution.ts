/**
 * Convolutions on tfjs, which wants channels last, and neither groups nor a dilation beside a stride nor padding per side.
 *
 * So: padding is explicit, groups are split and joined (depthwise has an op of its own), and where a dilation isn't taken,
 * zeros are put between the kernel's elements.
 */
import type { ConvAttributes, Padding2d } from "@dcae/core/graph";
import type * as tfjs from "@tensorflow/tfjs-core";
import type { Tf, TfTensor } from "../kernel.js";

type Tensor4 = tfjs.Tensor4D;

const TO_LAST = [0, 2, 3, 1];
const TO_FIRST = [0, 3, 1, 2];

export function channelsLast(tf: Tf, x: TfTensor): Tensor4 {
  return tf.transpose(x, TO_LAST) as Tensor4;
}

export function channelsFirst(tf: Tf, x: TfTensor): TfTensor {
  return tf.transpose(x, TO_FIRST);
}

/** Padding of an NHWC tensor. */
export function padLast(tf: Tf, x: Tensor4, { top, bottom, left, right }: Padding2d, value = 0): Tensor4 {
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
export function convolve(tf: Tf, x: TfTensor, weight: TfTensor, attributes: ConvAttributes): TfTensor {
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
export function convolveTransposed(
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

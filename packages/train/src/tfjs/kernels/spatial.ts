/** tfjs kernels of matrix products, convolutions and pooling. */
import type { OpName, PoolAttributes } from "@dcae/core/graph";
import { type Kernel, sizes, type Tf, type TfTensor } from "../kernel.js";
import { channelsFirst, channelsLast, convolve, convolveTransposed, padLast } from "./convolution.js";

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

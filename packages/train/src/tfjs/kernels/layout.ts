/** tfjs kernels of ops that move elements. */
import type { OpName } from "@dcae/core/graph";
import { type Kernel, sizes, type Tf, type TfTensor } from "../kernel.js";

/** Positions that a padded axis reads: mirrored without the edge, or clamped to it. */
function paddedPositions(size: number, before: number, after: number, mode: "reflect" | "edge"): number[] {
  return Array.from({ length: before + size + after }, (_, i) => {
    const position = i - before;
    if (mode === "edge") return Math.min(Math.max(position, 0), size - 1);
    const mirrored = Math.abs(position);
    return mirrored < size ? mirrored : 2 * (size - 1) - mirrored;
  });
}

function shuffle(tf: Tf, x: TfTensor, factor: number): TfTensor {
  const [n, c, h, w] = x.shape as [number, number, number, number];
  const cells = tf.reshape(x, [n, c / (factor * factor), factor, factor, h, w]);
  return tf.reshape(tf.transpose(cells, [0, 1, 4, 2, 5, 3]), [n, c / (factor * factor), h * factor, w * factor]);
}

function unshuffle(tf: Tf, x: TfTensor, factor: number): TfTensor {
  const [n, c, h, w] = x.shape as [number, number, number, number];
  const cells = tf.reshape(x, [n, c, h / factor, factor, w / factor, factor]);
  return tf.reshape(tf.transpose(cells, [0, 1, 3, 5, 2, 4]), [n, c * factor * factor, h / factor, w / factor]);
}

export const layoutKernels = {
  reshape: (tf, value, [x]) => tf.reshape(x as TfTensor, sizes(value)),
  transpose: (tf, { attributes }, [x]) => tf.transpose(x as TfTensor, [...attributes.permutation]),
  expand: (tf, value, [x]) => tf.broadcastTo(x as TfTensor, sizes(value)),
  slice: (tf, { attributes: { axes, starts, stops, steps } }, [x]) => {
    const shape = (x as TfTensor).shape;
    const [from, to, by] = [shape.map(() => 0), [...shape], shape.map(() => 1)];
    axes.forEach((axis, i) => {
      from[axis] = starts[i] as number;
      to[axis] = stops[i] as number;
      by[axis] = steps[i] as number;
    });
    if (by.some((step) => step > 1)) return tf.stridedSlice(x as TfTensor, from, to, by);
    return tf.slice(
      x as TfTensor,
      from,
      to.map((stop, axis) => stop - (from[axis] as number)),
    );
  },
  pad: (tf, { attributes: { before, after, mode, value } }, [x]) => {
    if (mode === "constant") {
      const amounts = before.map((low, axis): [number, number] => [low, after[axis] as number]);
      return tf.pad(x as TfTensor, amounts, value);
    }
    return before.reduce((padded, low, axis) => {
      const high = after[axis] as number;
      if (low + high === 0) return padded;
      const positions = paddedPositions(padded.shape[axis] as number, low, high, mode);
      return tf.gather(padded, tf.tensor1d(positions, "int32"), axis);
    }, x as TfTensor);
  },
  concat: (tf, { attributes }, inputs) => tf.concat([...inputs], attributes.axis),
  gather: (tf, { attributes: { axis } }, [data, indices]) => {
    const size = (data as TfTensor).shape[axis] as number;
    // Negative indices count from the end. All in int32: a plain number would make tfjs go to float32.
    const [zero, whole] = [tf.scalar(0, "int32"), tf.scalar(size, "int32")];
    const wrapped = tf.mul(tf.cast(tf.less(indices as TfTensor, zero), "int32"), whole);
    return tf.gather(data as TfTensor, tf.add(indices as TfTensor, wrapped), axis);
  },
  pixelShuffle: (tf, { attributes }, [x]) => shuffle(tf, x as TfTensor, attributes.factor),
  pixelUnshuffle: (tf, { attributes }, [x]) => unshuffle(tf, x as TfTensor, attributes.factor),
  upsampleNearest2d: (tf, { attributes: { factor } }, [x]) => {
    const [n, c, h, w] = (x as TfTensor).shape as [number, number, number, number];
    const cells = tf.tile(tf.reshape(x as TfTensor, [n * c, h, 1, w, 1]), [1, 1, factor, 1, factor]);
    return tf.reshape(cells, [n, c, h * factor, w * factor]);
  },
} satisfies { [K in OpName]?: Kernel<K> };

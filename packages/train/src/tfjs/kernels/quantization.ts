/** tfjs kernels of quantized numbers, which are int32 there. Sums of products are exact in float32 up to 2^24. */
import type { OpName, QuantizedDType } from "@dcae/core/graph";
import type { Kernel, Tf, TfTensor } from "../kernel.js";
import { convolve } from "./convolution.js";

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

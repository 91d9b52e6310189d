/** ONNX lowerings of quantized numbers and convolutions. */
import { sizeOf, Tensor } from "../../graph/tensor.js";
import type { OpName, QuantizationGrid, QuantizedDType } from "../../graph/value.js";
import type { Lowering, LoweringContext } from "../lowering.js";
import { pads } from "./spatial.js";

/** ONNX wants a zero point per scale. */
function zeroPoints(zeroPoint: number, dtype: QuantizedDType, shape: readonly number[]): Tensor {
  const size = sizeOf(shape);
  return dtype === "int8"
    ? new Tensor("int8", new Int8Array(size).fill(zeroPoint), shape)
    : new Tensor("uint8", new Uint8Array(size).fill(zeroPoint), shape);
}

const gridConstants = ({ scale, zeroPoint }: QuantizationGrid, { constant }: LoweringContext): [string, string] => [
  constant(Tensor.float32([scale], [])),
  constant(zeroPoints(zeroPoint, "uint8", [])),
];

export const quantizationLowerings = {
  quantizeLinear: ({ inputs: [, scale], attributes: { axis, zeroPoint, dtype } }, inputs, { emit, constant }) => {
    const zero = constant(zeroPoints(zeroPoint, dtype, scale.shape as readonly number[]));
    return emit("QuantizeLinear", [...inputs, zero], { axis });
  },
  dequantizeLinear: ({ inputs: [x, scale], attributes: { axis, zeroPoint } }, inputs, { emit, constant }) => {
    const zero = constant(zeroPoints(zeroPoint, x.dtype as QuantizedDType, scale.shape as readonly number[]));
    return emit("DequantizeLinear", [...inputs, zero], { axis });
  },
  qlinearConv2d: ({ attributes }, [x, weight, weightScale, ...bias], context) => {
    const { stride, padding, dilation, groups, input, output } = attributes;
    const weightZero = context.constant(zeroPoints(0, "int8", []));
    const operands = [
      ...[x as string, ...gridConstants(input, context)],
      ...[weight as string, weightScale as string, weightZero],
      ...gridConstants(output, context),
      ...bias,
    ];
    return context.emit("QLinearConv", operands, {
      strides: stride,
      pads: pads(padding),
      dilations: dilation,
      group: groups,
    });
  },
} satisfies { [K in OpName]?: Lowering<K> };

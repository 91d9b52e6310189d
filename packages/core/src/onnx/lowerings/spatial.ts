/** ONNX lowerings of matrix products, convolutions, pooling and resampling. */
import { type Dim, dimDivide, dimMultiply, shapeSize } from "../../graph/dim.js";
import { Tensor } from "../../graph/tensor.js";
import type { OpName, Padding2d } from "../../graph/value.js";
import type { Lowering } from "../lowering.js";

/** ONNX lists the begins of all axes, then the ends. */
export const pads = ({ top, left, bottom, right }: Padding2d) => [top, left, bottom, right];

export const spatialLowerings = {
  matmul: (_, inputs, { emit }) => emit("MatMul", inputs),
  conv2d: (value, inputs, { emit, blocked }) => {
    const { stride, padding, dilation, groups } = value.attributes;
    return (
      blocked?.convolution(value) ??
      emit("Conv", inputs, { strides: stride, pads: pads(padding), dilations: dilation, group: groups })
    );
  },
  convTranspose2d: ({ attributes: { stride, padding, dilation, groups, outputPadding } }, inputs, { emit }) =>
    emit("ConvTranspose", inputs, {
      strides: stride,
      pads: pads(padding),
      dilations: dilation,
      group: groups,
      output_padding: outputPadding,
    }),
  // What lies before and behind the axis are axes of their own. Three of them, because the runtime would bring a convolution
  // with two into its blocked layout and back, which takes longer than the convolution (3.8 ms against 1.6, 64x64x512).
  filterBank: ({ inputs: [x, filters], attributes, shape }, [name, bank], { emit, reshape }) => {
    const { axis, stride, before, after } = attributes;
    const [left, size, right] = [x.shape.slice(0, axis), x.shape[axis] as Dim, x.shape.slice(axis + 1)];
    const volume = reshape(name as string, [1, 1, shapeSize(left), size, shapeSize(right)]);
    const kernel = reshape(bank as string, [filters.shape[0] as Dim, 1, 1, filters.shape[1] as Dim, 1]);
    const y = emit("Conv", [volume, kernel], { strides: [1, stride, 1], pads: [0, before, 0, 0, after, 0] });
    return reshape(y, shape);
  },
  maxPool2d: ({ attributes: { kernel, stride, padding } }, inputs, { emit }) =>
    emit("MaxPool", inputs, { kernel_shape: kernel, strides: stride, pads: pads(padding) }),
  averagePool2d: ({ attributes: { kernel, stride, padding, countIncludePad } }, inputs, { emit }) =>
    emit("AveragePool", inputs, {
      kernel_shape: kernel,
      strides: stride,
      pads: pads(padding),
      count_include_pad: countIncludePad ? 1 : 0,
    }),
  // CRD is PyTorch's channel order: the feature channel is the slowest.
  pixelShuffle: ({ attributes: { factor } }, inputs, { emit }) =>
    emit("DepthToSpace", inputs, { blocksize: factor, mode: "CRD" }),
  // SpaceToDepth has no CRD mode, so: split both axes, bring the offsets behind the channel, merge.
  pixelUnshuffle: ({ inputs: [x], attributes: { factor } }, [name], { emit, reshape }) => {
    const [n, c, h, w] = x.shape as readonly [Dim, Dim, Dim, Dim];
    const [height, width] = [dimDivide(h, factor) as Dim, dimDivide(w, factor) as Dim];
    const cells = reshape(name as string, [n, c, height, factor, width, factor]);
    const moved = emit("Transpose", [cells], { perm: [0, 1, 3, 5, 2, 4] });
    return reshape(moved, [n, dimMultiply(c, factor * factor), height, width]);
  },
  upsampleNearest2d: ({ attributes: { factor } }, [x], { emit, constant }) => {
    const scales = constant(Tensor.float32([1, 1, factor, factor]));
    return emit("Resize", [x as string, "", scales], {
      mode: "nearest",
      nearest_mode: "floor",
      coordinate_transformation_mode: "asymmetric",
    });
  },
} satisfies { [K in OpName]?: Lowering<K> };

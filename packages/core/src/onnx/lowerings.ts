/**
 * How each op is written in ONNX: what a lowering gets and gives, and one row per op.
 */

import { EngineError } from "../errors.js";
import { topologicalOrder } from "../graph/analyze.js";
import { compositeRow } from "../graph/composites/composite.js";
import { type Dim, dimDivide, dimEqual, dimMultiply, shapeSize } from "../graph/dim.js";
import { scalarTensor } from "../graph/infer/rule.js";
import { inlineComposites } from "../graph/map-graph.js";
import type { Program } from "../graph/program.js";
import { sizeOf, Tensor } from "../graph/tensor.js";
import type {
  OpName,
  Padding2d,
  QuantizationGrid,
  QuantizedDType,
  ReduceAttributes,
  Value,
  ValueOf,
} from "../graph/value.js";
import type { BlockedLayout } from "./blocked-layout.js";
import { type OnnxAttribute, onnxDataType } from "./model-proto.js";

export type AttributeLike = number | string | readonly number[] | OnnxAttribute;

/** Where a lowering puts its nodes. Names are those of ONNX tensors. */
export interface LoweringContext {
  /**
   * Adds a node with one output and gives the output's name. Numbers become int attributes, lists ints.
   *
   * @param domain the operator set, if not ONNX's own
   */
  emit(
    opType: string,
    inputs: readonly string[],
    attributes?: Readonly<Record<string, AttributeLike>>,
    domain?: string,
  ): string;
  /** A constant stored in the model. */
  constant(tensor: Tensor): string;
  /** An int64 vector, as shapes, axes and pads are. */
  ints(values: readonly number[]): string;
  /** A shape as an int64 vector of sizes; symbolic dimensions are computed from the graph's inputs. */
  shape(dims: readonly Dim[]): string;
  /** x under another shape. @param from x's own shape: what is the same there needs no size computed at run time */
  reshape(x: string, dims: readonly Dim[], from?: readonly Dim[]): string;
  /** The name of a value that was lowered before. */
  nameOf(value: Value): string;
  /** Absent where the model must keep to ONNX's own operators. */
  readonly blocked?: BlockedLayout | undefined;
}

/** Turns a value of op `K`, whose inputs have the given ONNX names, into nodes; gives the name of its result. */
export type Lowering<K extends OpName> = (
  value: ValueOf<K>,
  inputs: readonly string[],
  context: LoweringContext,
) => string;

/** Ops that ONNX has under its own name with the same meaning. */
const direct =
  (opType: string) =>
  (_value: unknown, inputs: readonly string[], { emit }: LoweringContext): string =>
    emit(opType, inputs);

type Reduction = Pick<ValueOf<"reduceSum" | "reduceMean">, "inputs" | "attributes">;

/** @param x name of what is reduced */
function reduceOver(
  opType: string,
  x: string,
  { axes, keepDims }: ReduceAttributes,
  { emit, ints }: LoweringContext,
): string {
  // Without axes ONNX reduces everything; an empty list means "nothing" here.
  return emit(opType, [x, ints(axes)], { keepdims: keepDims ? 1 : 0, noop_with_empty_axes: 1 });
}

/** Fewer numbers than these are added up in one go: the error is within a few units in the last place. */
const FEW_ADDENDS = 2 ** 14;
/** What an unknown dimension is taken for, where only the order of magnitude matters. */
const USUAL_DIM = 256;

/**
 * The last axes, of which partial sums are made first, where a sum has many addends: none where it has few, or where they don't lie
 * side by side. Of several choices the one for which both sums are about as long.
 *
 * The runtime adds up one after the other in float32, in a few lanes: the mean of 4 million values is wrong by 1.4e-4 with AVX-512, by
 * 3e-3 in WebAssembly, and by less than 1e-6 in two stages, which take no longer. A group norm needs such means.
 */
function firstStage({ inputs: [{ shape }], attributes: { axes } }: Reduction): number[] {
  const sizeOfAxis = (axis: number) => {
    const dim = shape[axis];
    return typeof dim === "number" ? dim : USUAL_DIM;
  };
  const addends = axes.reduce((product, axis) => product * sizeOfAxis(axis), 1);
  if (addends < FEW_ADDENDS) return [];
  const distance = (length: number) => Math.abs(Math.log(length) - Math.log(addends) / 2);
  let best = { axes: [] as number[], distance: Number.POSITIVE_INFINITY };
  let [suffix, length]: [number[], number] = [[], 1];
  for (let axis = Math.max(...axes); axes.includes(axis) && suffix.length < axes.length - 1; axis--) {
    suffix = [axis, ...suffix];
    length *= sizeOfAxis(axis);
    if (length > 1 && distance(length) < best.distance) best = { axes: suffix, distance: distance(length) };
  }
  return best.axes;
}

/**
 * A sum or mean, where it is a long one in two stages (see `firstStage`).
 *
 * @param opType what the first stage does, or the only one
 * @param combine what the second does with its results
 */
function reduceInStages(
  opType: string,
  x: string,
  value: Reduction,
  context: LoweringContext,
  combine = opType,
): string {
  const { axes, keepDims } = value.attributes;
  const first = firstStage(value);
  if (first.length === 0) return reduceOver(opType, x, value.attributes, context);
  const partial = reduceOver(opType, x, { axes: first, keepDims }, context);
  const rest = axes.filter((axis) => !first.includes(axis));
  return reduceOver(combine, partial, { axes: rest, keepDims }, context);
}

/** ONNX lists the begins of all axes, then the ends. */
const pads = ({ top, left, bottom, right }: Padding2d) => [top, left, bottom, right];

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

const operatorOf = (value: ValueOf<"composite">) => compositeRow(value).lower?.(value as never);

/** What lies between the inputs of a composite and its result, both excluded. */
function interiorOf({ inputs, attributes: { body } }: ValueOf<"composite">): Value[] {
  const outside = new Set<Value>(inputs);
  return topologicalOrder([body.result], (value) => outside.has(value)).filter(({ op }) => op !== "constant");
}

/**
 * The program in what ONNX has operators for.
 *
 * An operator keeps its intermediate values to itself. Where gradients read some of them, they would be computed twice, so the
 * body takes the operator's place.
 */
export function onnxForm(program: Program): Program {
  const order = topologicalOrder([...program.outputs.values(), ...program.updates.values()]);
  if (!order.some(({ op }) => op === "composite")) return program;
  const visible = new Set(order);
  return inlineComposites(
    program,
    (value) => operatorOf(value) !== undefined && !interiorOf(value).some((part) => visible.has(part)),
  );
}

const lowerComposite: Lowering<"composite"> = (value, _inputs, { emit, constant, nameOf }) => {
  const operator = operatorOf(value);
  if (operator === undefined) throw new TypeError(`"${value.attributes.name}" has no operator: see onnxForm`);
  const inputs = operator.inputs.map((input) => (input instanceof Tensor ? constant(input) : nameOf(input)));
  return emit(operator.opType, inputs, operator.attributes);
};

/** Ops that stand for data and are no nodes. */
type Leaf = "input" | "parameter" | "constant";

/** A missing row doesn't compile. */
export const lowerings: { readonly [K in Exclude<OpName, Leaf>]: Lowering<K> } = {
  composite: lowerComposite,

  // Elementwise ops and reductions
  neg: direct("Neg"),
  abs: direct("Abs"),
  sign: direct("Sign"),
  exp: direct("Exp"),
  log: direct("Log"),
  sqrt: direct("Sqrt"),
  sin: direct("Sin"),
  cos: direct("Cos"),
  tanh: direct("Tanh"),
  sigmoid: direct("Sigmoid"),
  erf: direct("Erf"),
  relu: direct("Relu"),
  sumOverRanks: ({ attributes: { ranks } }, inputs, { emit }) => {
    if (ranks === 1) return emit("Identity", inputs);
    throw new EngineError(`a sum over ${ranks} ranks can't be run as a part of one program`, {
      hint: "Run the program on an engine of several ranks, which splits it there.",
    });
  },
  cast: ({ attributes }, inputs, { emit }) => emit("Cast", inputs, { to: onnxDataType(attributes.dtype) }),
  add: direct("Add"),
  sub: direct("Sub"),
  mul: direct("Mul"),
  div: direct("Div"),
  pow: direct("Pow"),
  maximum: direct("Max"),
  minimum: direct("Min"),
  equal: direct("Equal"),
  greater: direct("Greater"),
  less: direct("Less"),
  where: direct("Where"),
  // A sum of squares doesn't need the squares.
  reduceSum: (value, inputs, context) => {
    const [x] = value.inputs;
    if (x.op !== "mul" || x.inputs[0] !== x.inputs[1])
      return reduceInStages("ReduceSum", inputs[0] as string, value, context);
    return reduceInStages("ReduceSumSquare", context.nameOf(x.inputs[0]), value, context, "ReduceSum");
  },
  reduceMean: (value, [x], context) => reduceInStages("ReduceMean", x as string, value, context),
  reduceMax: ({ attributes }, [x], context) => reduceOver("ReduceMax", x as string, attributes, context),
  softmax: ({ attributes }, inputs, { emit }) => emit("Softmax", inputs, { axis: attributes.axis }),

  // Matrix products, convolutions, pooling and resampling
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

  // Quantized numbers and convolutions
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

  // What moves elements
  reshape: ({ inputs: [x], attributes }, [name], { reshape }) => reshape(name as string, attributes.shape, x.shape),
  transpose: ({ attributes }, inputs, { emit }) => emit("Transpose", inputs, { perm: attributes.permutation }),
  // 1 keeps the input's size.
  expand: ({ inputs: [x], attributes }, [name], { emit, shape }) => {
    const added = attributes.shape.length - x.shape.length;
    const dims = attributes.shape.map((dim, axis) => {
      const source = x.shape[axis - added];
      return source !== undefined && dimEqual(dim, source) ? 1 : dim;
    });
    return emit("Expand", [name as string, shape(dims)]);
  },
  slice: ({ attributes: { axes, starts, stops, steps } }, [x], { emit, ints }) =>
    emit("Slice", [x as string, ints(starts), ints(stops), ints(axes), ints(steps)]),
  pad: ({ inputs, attributes: { before, after, mode, value }, dtype }, [x], { emit, ints, constant }) => {
    const amounts = ints([...before, ...after]);
    if (mode !== "constant") return emit("Pad", [x as string, amounts], { mode });
    return emit("Pad", [x as string, amounts, constant(scalarTensor("pad", inputs, value, dtype))], { mode });
  },
  concat: ({ attributes }, inputs, { emit }) => emit("Concat", inputs, { axis: attributes.axis }),
  gather: ({ attributes }, inputs, { emit }) => emit("Gather", inputs, { axis: attributes.axis }),
};

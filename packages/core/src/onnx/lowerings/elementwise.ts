/** ONNX lowerings of elementwise ops and reductions. */
import type { OpName, ReduceAttributes } from "../../graph/value.js";
import type { Lowering, LoweringContext } from "../lowering.js";
import { onnxDataType } from "../model-proto.js";

/** Ops that ONNX has under its own name with the same meaning. */
const direct =
  (opType: string) =>
  (_value: unknown, inputs: readonly string[], { emit }: LoweringContext): string =>
    emit(opType, inputs);

const reduce =
  (opType: string) =>
  (
    { attributes: { axes, keepDims } }: { readonly attributes: ReduceAttributes },
    [x]: readonly string[],
    { emit, ints }: LoweringContext,
  ): string =>
    // Without axes ONNX reduces everything; an empty list means "nothing" here.
    emit(opType, [x as string, ints(axes)], { keepdims: keepDims ? 1 : 0, noop_with_empty_axes: 1 });

export const elementwiseLowerings = {
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
    if (x.op !== "mul" || x.inputs[0] !== x.inputs[1]) return reduce("ReduceSum")(value, inputs, context);
    return reduce("ReduceSumSquare")(value, [context.nameOf(x.inputs[0])], context);
  },
  reduceMean: reduce("ReduceMean"),
  reduceMax: reduce("ReduceMax"),
  softmax: ({ attributes }, inputs, { emit }) => emit("Softmax", inputs, { axis: attributes.axis }),
} satisfies { [K in OpName]?: Lowering<K> };

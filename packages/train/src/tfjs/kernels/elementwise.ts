/** tfjs kernels of elementwise ops and reductions. */
import { EngineError, type OpName, type ReduceAttributes } from "@dcae/core/graph";
import { type Kernel, type Tf, type TfTensor, tfDType } from "../kernel.js";

type UnaryName = "neg" | "abs" | "sign" | "exp" | "log" | "sqrt" | "sin" | "cos" | "tanh" | "sigmoid" | "erf" | "relu";
type BinaryName = "add" | "sub" | "mul" | "div" | "pow" | "maximum" | "minimum" | "equal" | "greater" | "less";

const unary =
  (name: UnaryName) =>
  (tf: Tf, _value: unknown, [x]: readonly TfTensor[]): TfTensor =>
    tf[name](x as TfTensor);

const binary =
  (name: BinaryName) =>
  (tf: Tf, _value: unknown, [a, b]: readonly TfTensor[]): TfTensor =>
    tf[name](a as TfTensor, b as TfTensor);

/** tfjs takes an empty list of axes for all of them. */
const reduce =
  (name: "sum" | "mean" | "max") =>
  (
    tf: Tf,
    { attributes: { axes, keepDims } }: { readonly attributes: ReduceAttributes },
    [x]: readonly TfTensor[],
  ): TfTensor =>
    axes.length === 0 ? (x as TfTensor) : tf[name](x as TfTensor, [...axes], keepDims);

export const elementwiseKernels = {
  neg: unary("neg"),
  abs: unary("abs"),
  sign: unary("sign"),
  exp: unary("exp"),
  log: unary("log"),
  sqrt: unary("sqrt"),
  sin: unary("sin"),
  cos: unary("cos"),
  tanh: unary("tanh"),
  sigmoid: unary("sigmoid"),
  erf: unary("erf"),
  relu: unary("relu"),
  sumOverRanks: (tf, { attributes: { ranks } }, [x]) => {
    if (ranks === 1) return tf.clone(x as TfTensor);
    throw new EngineError(`a sum over ${ranks} ranks can't be run as a part of one program`);
  },
  cast: (tf, { attributes }, [x]) => tf.cast(x as TfTensor, tfDType(attributes.dtype)),
  add: binary("add"),
  sub: binary("sub"),
  mul: binary("mul"),
  div: binary("div"),
  pow: binary("pow"),
  maximum: binary("maximum"),
  minimum: binary("minimum"),
  equal: binary("equal"),
  greater: binary("greater"),
  less: binary("less"),
  where: (tf, _, [condition, a, b]) => tf.where(condition as TfTensor, a as TfTensor, b as TfTensor),
  reduceSum: reduce("sum"),
  reduceMean: reduce("mean"),
  reduceMax: reduce("max"),
  // tf.softmax knows the last axis only.
  softmax: (tf, { attributes: { axis } }, [x]) => {
    const powers = tf.exp(tf.sub(x as TfTensor, tf.max(x as TfTensor, axis, true)));
    return tf.div(powers, tf.sum(powers, axis, true));
  },
} satisfies { [K in OpName]?: Kernel<K> };

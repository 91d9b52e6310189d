/** What is true of ops, for whoever treats many of them alike; a missing row doesn't compile. */
import type { OpName } from "./value.js";

/** What passes have to know of an op, beside its shape and its translation. */
export interface OpTraits {
  /** Each element of the result comes from one element of each operand, which broadcast. Default false. */
  readonly elementwise?: true;
  /** ONNX Runtime writes the result over an operand that nobody needs any more. Default false. */
  readonly inPlace?: true;
  /** The result is the operand's memory under another shape. Default false. */
  readonly view?: true;
  /**
   * The type to compute in where a program computes with float16. "float32" is for what needs range or many additions, "layout" for
   * what moves elements and takes whatever type they have; composites have a column of their own.
   */
  readonly half: "float16" | "float32" | "layout";
}

const elementwise = { elementwise: true, half: "float32" } as const;
const inPlace = { elementwise: true, inPlace: true, half: "float32" } as const;
const inPlaceHalf = { elementwise: true, inPlace: true, half: "float16" } as const;
const layout = { half: "layout" } as const;
const other = { half: "float32" } as const;

/** The traits of every op. */
export const opTraits: Readonly<Record<OpName, OpTraits>> = {
  input: layout,
  parameter: layout,
  constant: layout,
  neg: inPlaceHalf,
  abs: inPlaceHalf,
  sign: elementwise,
  exp: inPlace,
  log: elementwise,
  sqrt: inPlace,
  sin: elementwise,
  cos: elementwise,
  tanh: inPlaceHalf,
  sigmoid: inPlaceHalf,
  erf: { elementwise: true, half: "float16" },
  relu: inPlaceHalf,
  cast: elementwise,
  add: inPlaceHalf,
  sub: inPlaceHalf,
  mul: inPlaceHalf,
  div: inPlace,
  pow: elementwise,
  maximum: inPlaceHalf,
  minimum: inPlaceHalf,
  equal: elementwise,
  greater: elementwise,
  less: elementwise,
  where: elementwise,
  reduceSum: other,
  reduceMean: other,
  reduceMax: other,
  softmax: other,
  matmul: other,
  conv2d: { half: "float16" },
  convTranspose2d: other,
  filterBank: other,
  quantizeLinear: other,
  dequantizeLinear: other,
  qlinearConv2d: other,
  maxPool2d: other,
  averagePool2d: other,
  reshape: { view: true, half: "layout" },
  transpose: layout,
  expand: layout,
  slice: layout,
  pad: layout,
  concat: layout,
  gather: other,
  pixelShuffle: layout,
  pixelUnshuffle: layout,
  upsampleNearest2d: layout,
  sumOverRanks: other,
  composite: other,
};

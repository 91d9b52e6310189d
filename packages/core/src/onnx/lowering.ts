/** What a lowering gets and gives: the row type of the ONNX tables. */
import type { Dim } from "../graph/dim.js";
import type { Tensor } from "../graph/tensor.js";
import type { OpName, Value, ValueOf } from "../graph/value.js";
import type { BlockedLayout } from "./blocked-layout.js";
import type { OnnxAttribute } from "./model-proto.js";

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

/** A float attribute (plain numbers are taken for integers). */
export function float(value: number): OnnxAttribute {
  return { type: "float", value };
}

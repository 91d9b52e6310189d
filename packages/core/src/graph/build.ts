/** The one place where values are made: shape inference happens here, when an op is built. */
import { elementwiseRules, layoutRules } from "./infer/elementwise-and-layout.js";
import { type InferRule, pathOf } from "./infer/rule.js";
import { quantizationRules, spatialRules } from "./infer/spatial.js";
import type { OpAttributes, OpInputs, OpName, Value, ValueOf } from "./value.js";

/** A row per op; a missing one doesn't compile. */
const rules: { readonly [K in OpName]: InferRule<K> } = {
  ...elementwiseRules,
  ...spatialRules,
  ...quantizationRules,
  ...layoutRules,
  composite: (_, { body: { result } }) => ({ shape: result.shape, dtype: result.dtype }),
};

/** The names of all ops, in the order of their table. */
export const OP_NAMES = Object.keys(rules) as readonly OpName[];

/**
 * Makes a value of op `op`.
 *
 * @throws ShapeError when the inputs don't fit; the message names the op, the shapes and the closest parameter
 */
export function build<K extends OpName>(op: K, inputs: OpInputs<K>, attributes: OpAttributes<K>): Value {
  const rule = rules[op] as InferRule<K>;
  const { shape, dtype } = rule(inputs, attributes);
  const path = op === "parameter" ? (attributes as OpAttributes<"parameter">).name : pathOf(inputs);
  const value: ValueOf<K> = { op, inputs, attributes, shape, dtype, path };
  // ValueOf<K> for a generic K isn't recognized as a member of the union that it is.
  return value as unknown as Value;
}

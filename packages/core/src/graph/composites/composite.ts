/** The table of composites (a missing row does not compile), where composites are made, and values made again at other inputs. */

import { build } from "../build.js";
import type { OpName, Value, ValueOf } from "../value.js";
import { gelu, leakyRelu, silu } from "./activations.js";
import { linearAttention, softmaxAttention } from "./attention.js";
import type { CompositeAttributes, CompositeInputs, CompositeName, CompositeRow, Make } from "./composite-row.js";
import { groupNorm, layerNorm, rmsNorm } from "./norms.js";
import { averagingShortcut, duplicatingShortcut } from "./shortcuts.js";

/** The table of composites: by name the body in ops, and the columns where the whole is better than its parts. */
export const composites: { readonly [K in CompositeName]: CompositeRow<K> } = {
  silu,
  leakyRelu,
  gelu,
  rmsNorm,
  layerNorm,
  groupNorm,
  averagingShortcut,
  duplicatingShortcut,
  linearAttention,
  softmaxAttention,
};

/** The names of all composites. */
export const COMPOSITE_NAMES = Object.keys(composites) as readonly CompositeName[];

/** The row of a composite. It fits the value by construction; TypeScript can't correlate the two unions. */
export function compositeRow(value: ValueOf<"composite">): CompositeRow<CompositeName> {
  return composites[value.attributes.name] as unknown as CompositeRow<CompositeName>;
}

/**
 * Composite `name` of inputs.
 *
 * @throws ShapeError when its body doesn't take them
 */
export function composite<K extends CompositeName>(
  name: K,
  inputs: CompositeInputs<K>,
  attributes: CompositeAttributes<K>,
): Value {
  const row = composites[name] as unknown as CompositeRow<K>;
  return build("composite", inputs, { name, attributes, body: row.body(inputs, attributes) } as never);
}

/** Makes `value` again, at other inputs and with some attributes changed; where nothing is other, it is `value`. */
export function maker(value: ValueOf<"composite">): Make<CompositeName> {
  const { name, attributes } = value.attributes;
  return (inputs, changed = {}) => {
    const known = new Map<string, unknown>(Object.entries(attributes));
    const sameAttributes = Object.entries(changed).every(([key, next]) => known.get(key) === next);
    const sameInputs = inputs.length === value.inputs.length && inputs.every((input, i) => input === value.inputs[i]);
    if (sameAttributes && sameInputs) return value as Value;
    return composite(name, inputs, { ...attributes, ...changed } as never);
  };
}

/** The op of `value` on inputs whose shapes and dtypes may differ; always another value. */
export function rebuild(value: Value, inputs: readonly Value[], attributes: object = value.attributes): Value {
  if (value.op === "composite") {
    const { name, attributes: own } = value.attributes;
    return composite(name, inputs as never, own as never);
  }
  // Inputs and attributes are those of one op; TypeScript can't correlate the unions.
  return build<OpName>(value.op, inputs as never, attributes as never);
}

/** Composites in ONNX: as the one operator that their row in the table names, or as their bodies. */

import { topologicalOrder } from "../graph/analyze.js";
import { compositeRow } from "../graph/composites/composite.js";
import { inlineComposites } from "../graph/map-graph.js";
import type { Program } from "../graph/program.js";
import { Tensor } from "../graph/tensor.js";
import type { Value, ValueOf } from "../graph/value.js";
import type { Lowering } from "./lowerings.js";

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

export const lowerComposite: Lowering<"composite"> = (value, _inputs, { emit, constant, nameOf }) => {
  const operator = operatorOf(value);
  if (operator === undefined) throw new TypeError(`"${value.attributes.name}" has no operator: see onnxForm`);
  const inputs = operator.inputs.map((input) => (input instanceof Tensor ? constant(input) : nameOf(input)));
  return emit(operator.opType, inputs, operator.attributes);
};

/** Evaluates a graph with the reference kernels. */

import { topologicalOrder } from "../../src/graph/analyze.js";
import { staticShape } from "../../src/graph/dim.js";
import { inliner, mapGraph } from "../../src/graph/map-graph.js";
import type { Tensor } from "../../src/graph/tensor.js";
import type { Value } from "../../src/graph/value.js";
import { type Plain, referenceKernels } from "./reference-kernels.js";

function plain(tensor: Tensor): Plain {
  return { shape: tensor.shape, data: Array.from(tensor.data as ArrayLike<number | bigint>, Number) };
}

/** The elements of `output` at the given inputs (by name), in float64. */
export function evaluate(output: Value, inputs: Readonly<Record<string, Tensor>>): Plain {
  const results = new Map<Value, Plain>();
  const [plainOutput] = mapGraph([output], inliner()) as [Value];
  for (const value of topologicalOrder([plainOutput])) {
    const shape = staticShape(value.shape, "evaluate");
    if (value.op === "input" || value.op === "parameter") {
      const tensor = inputs[value.attributes.name];
      if (tensor === undefined) throw new Error(`evaluate: no tensor for "${value.attributes.name}"`);
      results.set(value, plain(tensor));
    } else if (value.op === "constant") results.set(value, plain(value.attributes.tensor));
    else {
      const kernel = referenceKernels[value.op as keyof typeof referenceKernels] as (
        value: Value,
        ...inputs: Plain[]
      ) => readonly number[];
      results.set(value, { shape, data: kernel(value, ...value.inputs.map((input) => results.get(input) as Plain)) });
    }
  }
  return results.get(plainOutput) as Plain;
}

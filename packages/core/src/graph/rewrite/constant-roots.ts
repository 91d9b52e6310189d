/**
 * What of a program can be computed once: the values that depend on weights and constants alone, where values that vary take
 * them.
 *
 * A runtime computes them when it loads a program. To keep them beyond that, they are computed apart, and the program takes
 * them as weights.
 */

import { analyze, topologicalOrder } from "../analyze.js";
import { isStaticShape } from "../dim.js";
import { byteSize } from "../dtype.js";
import { mapProgram } from "../map-graph.js";
import { parameter } from "../ops/elementwise.js";
import type { Program } from "../program.js";
import { ZEROS } from "../scope.js";
import { sizeOf } from "../tensor.js";
import type { Value } from "../value.js";

/** Constant values of at least `minBytes` that varying values or outputs take; weights that are taken as they are included. */
export function constantRoots(program: Program, minBytes: number): Value[] {
  const { isConstant, order, results } = analyze(program);
  const found = new Set<Value>(results.filter(isConstant));
  for (const value of order) {
    if (!isConstant(value)) for (const operand of value.inputs) if (isConstant(operand)) found.add(operand);
  }
  return [...found].filter(({ shape, dtype }) => isStaticShape(shape) && sizeOf(shape) * byteSize(dtype) >= minBytes);
}

/** Constant values, those together that are computed from the same weights: all points of one transformed filter, for example. */
export function groupByWeights(roots: readonly Value[]): Value[][] {
  const groups: { readonly parameters: Set<Value>; readonly roots: Value[] }[] = [];
  for (const root of roots) {
    const parameters = new Set(topologicalOrder([root]).filter(({ op }) => op === "parameter"));
    const related = groups.filter((group) => [...parameters].some((value) => group.parameters.has(value)));
    const merged = { parameters, roots: [root] };
    for (const group of related) {
      groups.splice(groups.indexOf(group), 1);
      for (const value of group.parameters) parameters.add(value);
      merged.roots.unshift(...group.roots);
    }
    groups.push(merged);
  }
  return groups.map(({ roots }) => roots);
}

/** The program with weights in the place of values, by the names given for them. */
export function replaceByWeights(program: Program, names: ReadonlyMap<Value, string>): Program {
  const weights = new Map<string, Value>();
  function weight(name: string, { shape, dtype }: Value): Value {
    const known = weights.get(name);
    if (known !== undefined) return known;
    const made = parameter({ name, shape: shape as readonly number[], dtype, init: ZEROS, trainable: false });
    weights.set(name, made);
    return made;
  }
  return mapProgram(
    program,
    (_value, _inputs, keep) => keep(),
    (value) => {
      const name = names.get(value);
      return name === undefined ? undefined : weight(name, value);
    },
  );
}

/** What tells a value from others of its op; the body of a composite follows from the rest. */
function attributesOf(value: Value): object {
  return value.op === "composite" ? { ...value.attributes, body: undefined } : value.attributes;
}

/** A text that is the same for equal expressions of equal leaves. @param leaf describes a parameter or constant */
export function describeExpressions(roots: readonly Value[], leaf: (value: Value) => string): string {
  const numbers = new Map<Value, number>();
  return topologicalOrder(roots)
    .map((value) => {
      const number = numbers.size;
      numbers.set(value, number);
      const operands = value.inputs.map((operand) => numbers.get(operand)).join();
      const about = value.inputs.length === 0 ? leaf(value) : JSON.stringify(attributesOf(value));
      return `${number}=${value.op}(${operands}) ${about} [${value.shape.join()}] ${value.dtype}`;
    })
    .concat(`roots ${roots.map((root) => numbers.get(root)).join()}`)
    .join("\n");
}

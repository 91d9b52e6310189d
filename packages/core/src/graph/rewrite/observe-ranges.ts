/** Graph to graph: a program that also gives the ranges of what its convolutions take and give. */

import { analyze } from "../analyze.js";
import { neg } from "../ops/elementwise.js";
import { concat, reshape } from "../ops/layout.js";
import { constant } from "../ops/leaves.js";
import { reduceMax } from "../ops/reduce.js";
import { createProgram, type Program } from "../program.js";
import { Tensor } from "../tensor.js";
import { topologicalOrder } from "../traverse.js";
import type { Value } from "../value.js";
import { type ActivationRanges, type ConvRanges, quantizableName, type Range } from "./quantize.js";

/** The output that `withRanges` adds: [convolutions, 4], lows negated; without convolutions it has no rows. */
export const RANGES_OUTPUT = "ranges";

/**
 * The convolutions in the order of the rows, the last one first: the runtime computes what was written down last as early as it
 * can, so that each value is observed while it is there. In the other order, all of them stay in memory until the end.
 */
function observed(program: Program): { readonly name: string; readonly conv: Value }[] {
  const facts = analyze(program);
  const order = topologicalOrder([...program.outputs.values()]).reverse();
  return order.flatMap((conv) => {
    const name = quantizableName(conv, facts);
    return name === undefined ? [] : [{ name, conv }];
  });
}

export function withRanges(program: Program): Program {
  const rows = observed(program).map(({ conv }) => {
    const [x] = conv.inputs as readonly [Value];
    return reshape(
      concat(
        [x, conv].flatMap((v) => [neg(v), v]).map((v) => reshape(reduceMax(v), [1])),
        0,
      ),
      [1, 4],
    );
  });
  const ranges = rows.length === 0 ? constant(Tensor.zeros([0, 4])) : concat(rows, 0);
  return createProgram(program.name, { ...Object.fromEntries(program.outputs), [RANGES_OUTPUT]: ranges });
}

/** The smallest range that holds both. */
const joined = (a: Range, b: Range): Range => [Math.min(a[0], b[0]), Math.max(a[1], b[1])];

/** Adds what one run observed. @param ranges the output that `withRanges(program)` has under `RANGES_OUTPUT` */
export function mergeRanges(known: ActivationRanges, program: Program, ranges: Tensor): ActivationRanges {
  const values = ranges.toFloat32();
  const merged: Record<string, ConvRanges> = { ...known };
  observed(program).forEach(({ name }, row) => {
    const [inLow, inHigh, outLow, outHigh] = values.subarray(4 * row, 4 * row + 4) as unknown as readonly [
      number,
      number,
      number,
      number,
    ];
    const [input, output]: readonly [Range, Range] = [
      [-inLow, inHigh],
      [-outLow, outHigh],
    ];
    const before = merged[name];
    merged[name] =
      before === undefined
        ? { input, output }
        : { input: joined(before.input, input), output: joined(before.output, output) };
  });
  return merged;
}

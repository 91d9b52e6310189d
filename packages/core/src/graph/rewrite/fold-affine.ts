/**
 * Graph to graph: a constant scale or shift per channel behind a convolution (batch normalization at inference, a bias)
 * becomes part of its weight and bias, as constant expressions.
 *
 * The runtime folds these behind direct convolutions itself; here it happens before a convolution takes another form.
 */

import { analyze } from "../analyze.js";
import { isStaticShape } from "../dim.js";
import { mapProgram } from "../map-graph.js";
import { add, mul, neg } from "../ops/elementwise.js";
import { expand, reshape } from "../ops/layout.js";
import { conv2d } from "../ops/linear.js";
import type { Program } from "../program.js";
import { sizeOf } from "../tensor.js";
import type { Value, ValueOf } from "../value.js";

/** [C] or a single number from a shape that broadcasts over [N, C, H, W] per channel; undefined for any other. */
function perChannel(value: Value, channels: number): Value | undefined {
  if (!isStaticShape(value.shape)) return undefined;
  const [height = 1, width = 1] = [value.shape.at(-2), value.shape.at(-1)];
  const size = sizeOf(value.shape);
  if (size === 1) return reshape(value, [1]);
  const fits = value.shape.length >= 3 && value.shape.length <= 4 && value.shape.at(-3) === channels;
  return fits && size === channels && height === 1 && width === 1 ? reshape(value, [channels]) : undefined;
}

function fold(op: "add" | "sub" | "mul", conv: ValueOf<"conv2d">, amount: Value): Value {
  const [x, weight, bias] = conv.inputs;
  const channels = weight.shape[0] as number;
  const { stride, padding, dilation, groups } = conv.attributes;
  const options = { stride, padding, dilation, groups };
  if (op === "mul") {
    const scale = reshape(amount, [amount.shape[0] as number, 1, 1, 1]);
    return conv2d(x, mul(weight, scale), { ...options, bias: bias && mul(bias, amount) });
  }
  const shift = op === "sub" ? neg(amount) : amount;
  return conv2d(x, weight, { ...options, bias: bias ? add(bias, shift) : expand(shift, [channels]) });
}

export function foldAffine(program: Program): Program {
  const { isConstant, uses } = analyze(program);
  return mapProgram(program, (value, inputs, keep) => {
    if (value.op !== "mul" && value.op !== "add" && value.op !== "sub") return keep();
    // The convolution may itself be the result of a fold. Where something else uses its output it must stay.
    const at = inputs.findIndex((input, i) => input.op === "conv2d" && uses(value.inputs[i] as Value) === 1);
    const [conv, other] = [inputs[at], inputs[1 - at]];
    if (conv?.op !== "conv2d" || other === undefined || !isConstant(value.inputs[1 - at] as Value)) return keep();
    if (value.op === "sub" && at === 1) return keep();
    const amount = perChannel(other, conv.shape[1] as number);
    return amount === undefined ? keep() : fold(value.op, conv, amount);
  });
}

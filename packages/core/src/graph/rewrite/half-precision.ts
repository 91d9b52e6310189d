/**
 * float16 compute: convolutions and elementwise ops run on float16 values with float16 weights.
 *
 * What needs range or many additions stays in float32: reductions, square roots, divisions, exponentials, softmax, matrix
 * products (the linear attention sums over all pixels), and the elementwise ops that feed them directly (a square
 * overflows float16 beyond 256, an eps of 1e-15 doesn't exist in it). The official code makes the same choice for norms
 * and attention (dcae.md 1.3 and 2.4). Inputs and outputs of the program stay float32.
 */
import { build } from "../build.js";
import { cast } from "../ops/elementwise.js";
import { constant, parameter } from "../ops/leaves.js";
import { createProgram, type Program } from "../program.js";
import type { Tensor } from "../tensor.js";
import { topologicalOrder } from "../traverse.js";
import type { OpName, Value } from "../value.js";
import { rewriteProgram } from "./rebuild.js";

/** Elementwise ops that compute in float16 where nothing sensitive follows. */
const HALF_OPS: ReadonlySet<OpName> = new Set<OpName>([
  "add",
  "sub",
  "mul",
  "neg",
  "abs",
  "relu",
  "sigmoid",
  "tanh",
  "erf",
  "maximum",
  "minimum",
]);

/** Ops that move elements and take whatever type their input has. */
const LAYOUT_OPS: ReadonlySet<OpName> = new Set<OpName>([
  "reshape",
  "transpose",
  "expand",
  "slice",
  "pad",
  "concat",
  "pixelShuffle",
  "pixelUnshuffle",
  "upsampleNearest2d",
]);

/** Whether float16 holds the values to its usual precision. */
function survivesNarrowing(tensor: Tensor): boolean {
  const [exact, narrow] = [tensor.toFloat32(), tensor.cast("float16").toFloat32()];
  return exact.every((value, i) => Math.abs((narrow[i] as number) - value) <= Math.abs(value) / 1024);
}

/** Layer normalization as ONNX Runtime recognizes it, with the variance as a mean of powers. */
function isNormalized({ op, inputs: [, root] }: Value): boolean {
  const variance = root?.op === "sqrt" ? root.inputs[0]?.inputs : undefined;
  return op === "div" && (variance?.some((term) => term.op === "reduceMean" && term.inputs[0]?.op === "pow") ?? false);
}

/**
 * Whether a value is the scale or the shift behind a normalization. ONNX Runtime makes one operator of all of it, through
 * conversions, and then refuses it if the types differ.
 */
function belongsToNorm({ op, inputs }: Value): boolean {
  const isScaled = (value: Value) => value.op === "mul" && value.inputs.some(isNormalized);
  return (op === "mul" && inputs.some(isNormalized)) || (op === "add" && inputs.some(isScaled));
}

/** Says of each value whether it is computed (or, for data and layout ops, wanted) in float16. */
function chooseHalf(program: Program): (value: Value) => boolean {
  const order = topologicalOrder([...program.outputs.values()]);
  const users = new Map<Value, Value[]>();
  for (const value of order) {
    for (const input of value.inputs) users.set(input, [...(users.get(input) ?? []), value]);
  }
  const half = new Map<Value, boolean>();
  const follows = (value: Value) => LAYOUT_OPS.has(value.op) || value.inputs.length === 0;
  // Users come after their inputs, so backwards every answer that is needed is there.
  for (const value of order.reverse()) {
    const after = users.get(value) ?? [];
    if (value.op === "conv2d") half.set(value, true);
    else if (follows(value))
      half.set(
        value,
        after.some((user) => half.get(user)),
      );
    else if (HALF_OPS.has(value.op)) {
      const feedsSensitive = after.some((user) => !half.get(user) && !LAYOUT_OPS.has(user.op));
      const exact = value.inputs.every(
        (input) => input.op !== "constant" || survivesNarrowing(input.attributes.tensor),
      );
      half.set(value, exact && !feedsSensitive && !belongsToNorm(value));
    } else half.set(value, false);
  }
  return (value) => half.get(value) ?? false;
}

export function toHalfPrecision(program: Program): Program {
  const isHalf = chooseHalf(program);
  const rewritten = rewriteProgram(program, (value, inputs, keep) => {
    if (value.dtype !== "float32") return keep();
    if (value.op === "parameter") return isHalf(value) ? parameter({ ...value.attributes, dtype: "float16" }) : value;
    if (value.inputs.length === 0) return value;
    const mixed = inputs.some((input) => input.dtype !== inputs[0]?.dtype);
    if (LAYOUT_OPS.has(value.op) && !mixed) return keep();
    const dtype = isHalf(value) ? "float16" : "float32";
    // Inputs and attributes are those of one op; TypeScript can't correlate the unions.
    return build<OpName>(value.op, inputs.map((input) => inDType(input, dtype)) as never, value.attributes as never);
  });
  const outputs = [...rewritten.outputs].map(([name, value]): [string, Value] => [name, cast(value, "float32")]);
  return createProgram(program.name, Object.fromEntries(outputs));
}

/** `value` in `dtype`; integers and booleans stay, constants are converted here instead of in the graph. */
function inDType(value: Value, dtype: "float16" | "float32"): Value {
  if (value.dtype !== "float16" && value.dtype !== "float32") return value;
  return value.op === "constant" ? constant(value.attributes.tensor.cast(dtype)) : cast(value, dtype);
}

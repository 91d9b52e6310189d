/**
 * float16 compute: convolutions and elementwise ops run on float16 values with float16 weights.
 *
 * Ops and composites say in their column `half` what they compute in. What needs range or many additions stays in float32:
 * reductions, square roots, divisions, exponentials, softmax, matrix products (the linear attention sums over all pixels), and the
 * elementwise ops that feed them directly (a square overflows float16 beyond 256, an eps of 1e-15 doesn't exist in it). The
 * official code makes the same choice for norms and attention (dcae.md 1.3 and 2.4). Inputs and outputs of the program stay
 * float32.
 */
import { analyze } from "../analyze.js";
import { compositeRow, rebuild } from "../composites/composite.js";
import { inlineComposites, mapProgram } from "../map-graph.js";
import { type OpTraits, opTraits } from "../op-traits.js";
import { cast, constant, parameter } from "../ops/elementwise.js";
import { createProgram, type Program } from "../program.js";
import type { Tensor } from "../tensor.js";
import type { Value } from "../value.js";

/** Whether float16 holds the values to its usual precision. */
function survivesNarrowing(tensor: Tensor): boolean {
  const [exact, narrow] = [tensor.toFloat32(), tensor.cast("float16").toFloat32()];
  return exact.every((value, i) => Math.abs((narrow[i] as number) - value) <= Math.abs(value) / 1024);
}

/** What a value's op is for, at half precision. */
function choiceOf(value: Value): OpTraits["half"] {
  return value.op === "composite" ? (compositeRow(value).half ?? "float32") : opTraits[value.op].half;
}

/** Says of each value whether it is computed (or, for data and layout ops, wanted) in float16. */
function chooseHalf(program: Program): (value: Value) => boolean {
  const { order, users } = analyze(program);
  const half = new Map<Value, boolean>();
  // Users come after their inputs, so backwards every answer that is needed is there.
  for (const value of [...order].reverse()) {
    const after = users(value);
    const choice = choiceOf(value);
    if (value.op === "conv2d") half.set(value, true);
    else if (choice === "layout") {
      half.set(
        value,
        after.some((user) => half.get(user)),
      );
    } else if (choice === "float16") {
      const feedsSensitive = after.some((user) => !half.get(user) && choiceOf(user) !== "layout");
      const exact = value.inputs.every(
        (input) => input.op !== "constant" || survivesNarrowing(input.attributes.tensor),
      );
      half.set(value, exact && !feedsSensitive);
    } else half.set(value, false);
  }
  return (value) => half.get(value) ?? false;
}

export function toHalfPrecision(original: Program): Program {
  const program = inlineComposites(original, (value) => compositeRow(value).half !== undefined);
  const isHalf = chooseHalf(program);
  const rewritten = mapProgram(program, (value, inputs, keep) => {
    if (value.dtype !== "float32") return keep();
    if (value.op === "parameter") return isHalf(value) ? parameter({ ...value.attributes, dtype: "float16" }) : value;
    if (value.inputs.length === 0) return value;
    const mixed = inputs.some((input) => input.dtype !== inputs[0]?.dtype);
    if (choiceOf(value) === "layout" && !mixed) return keep();
    const dtype = isHalf(value) ? "float16" : "float32";
    return rebuild(
      value,
      inputs.map((input) => inDType(input, dtype)),
    );
  });
  const outputs = [...rewritten.outputs].map(([name, value]): [string, Value] => [name, cast(value, "float32")]);
  return createProgram(program.name, Object.fromEntries(outputs));
}

/** `value` in `dtype`; integers and booleans stay, constants are converted here instead of in the graph. */
function inDType(value: Value, dtype: "float16" | "float32"): Value {
  if (value.dtype !== "float16" && value.dtype !== "float32") return value;
  return value.op === "constant" ? constant(value.attributes.tensor.cast(dtype)) : cast(value, dtype);
}

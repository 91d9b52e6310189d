/**
 * float16 compute: convolutions and elementwise ops run on float16 values with float16 weights.
 *
 * What needs range or many additions stays in float32: reductions, square roots, divisions, exponentials, softmax and
 * matrix products (the linear attention sums over all pixels, and its eps of 1e-15 doesn't exist in float16). The official
 * code makes the same choice for the norms and for the attention (dcae.md 1.3 and 2.4). Inputs and outputs stay float32.
 */
import { build } from "../build.js";
import { cast } from "../ops/elementwise.js";
import { constant, parameter } from "../ops/leaves.js";
import { createProgram, type Program } from "../program.js";
import type { OpName, Value } from "../value.js";
import { rewriteProgram } from "./rebuild.js";

/** Ops that compute in float16. Layout ops follow their input. */
const HALF_OPS: ReadonlySet<OpName> = new Set<OpName>([
  "conv2d",
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

export function toHalfPrecision(program: Program): Program {
  const narrowed = new Map<string, Value>();
  const rewritten = rewriteProgram(program, (value, inputs, keep) => {
    if (value.op === "parameter" && value.dtype === "float32") {
      const known = narrowed.get(value.attributes.name);
      const fresh = known ?? parameter({ ...value.attributes, dtype: "float16" });
      narrowed.set(value.attributes.name, fresh);
      return fresh;
    }
    if (value.op === "constant" && value.dtype === "float32") {
      // Constants that float16 can't hold (eps) keep the precision they were written in.
      const half = value.attributes.tensor.cast("float16");
      const survives = half.toFloat32().every((x, i) => {
        const exact = value.attributes.tensor.toFloat32()[i] as number;
        return Number.isFinite(x) && Math.abs(x - exact) <= Math.abs(exact) / 1024;
      });
      return survives ? constant(half) : value;
    }
    if (inputs.length === 0 || value.dtype !== "float32") return keep();
    if (LAYOUT_OPS.has(value.op) && value.op !== "concat") return keep();
    const target = HALF_OPS.has(value.op) || value.op === "concat" ? "float16" : "float32";
    return rebuildIn(target, value, inputs);
  });
  const restored = [...rewritten.outputs].map(([name, value]): [string, Value] => {
    const original = program.outputs.get(name) as Value;
    return [name, cast(value, original.dtype)];
  });
  return createProgram(program.name, Object.fromEntries(restored));
}

/** The op of `value` on inputs cast to `dtype` (integer and bool inputs stay). */
function rebuildIn(dtype: "float16" | "float32", value: Value, inputs: readonly Value[]): Value {
  const converted = inputs.map((input) =>
    input.dtype === "float16" || input.dtype === "float32" ? cast(input, dtype) : input,
  );
  // Inputs and attributes are those of one op; TypeScript can't correlate the unions.
  return build<OpName>(value.op, converted as never, value.attributes as never);
}

/** Gradients of whole composites are those that follow op by op. */
import {
  concat,
  createRandom,
  gelu,
  geluTanh,
  groupNorm,
  inliner,
  input,
  layerNorm,
  leakyRelu,
  linearAttention,
  mapGraph,
  matmul,
  mul,
  reduceSum,
  rmsNorm,
  silu,
  sizeOf,
  slice,
  softmaxAttention,
  split,
  Tensor,
  topologicalOrder,
  transpose,
  type Value,
  type ValueOf,
} from "@dcae/core/graph";
import { expectClose } from "@dcae/test-support/compare";
import { useEngine } from "@dcae/test-support/engine";
import { runValues } from "@dcae/test-support/run-graph";
import { describe, expect, test } from "vitest";
import type { GradientForms } from "../../src/autodiff/gradient-rule.js";
import { type GradientOptions, gradients } from "../../src/autodiff/gradients.js";
import { optimizeForward } from "../../src/step/optimize-forward.js";

const engine = useEngine();

const SHAPE = [2, 3, 4, 5] as const;
const [x, w, b, c] = [input("x", SHAPE), input("w", [3]), input("b", [3]), input("c", SHAPE)];
const [k, v] = [input("k", [2, 3, 7, 5]), input("v", [2, 3, 7, 5])];
const [rw, rb] = [input("rw", [5]), input("rb", [5])];
const random = (seed: number, shape: readonly number[]) =>
  Tensor.float32(createRandom(seed, 9).uniform(new Float32Array(sizeOf(shape)), -1.5, 1.5), shape);
const INPUTS = {
  x: random(1, SHAPE),
  w: random(2, [3]),
  b: random(3, [3]),
  c: random(4, SHAPE),
  k: random(5, [2, 3, 7, 5]),
  v: random(6, [2, 3, 7, 5]),
  rw: random(7, [5]),
  rb: random(8, [5]),
};

const forms = (compositions: GradientForms["compositions"]): GradientOptions => ({
  forms: { depthwise: "taps", input: "transposed", compositions },
});
const weighted = (y: Value) => reduceSum(mul(y, c));

/** Both ways to the gradients, and that they are two. */
async function compare(loss: Value, wrt: readonly Value[], options: GradientOptions = {}): Promise<void> {
  const [parts, whole] = (["by-op", "whole"] as const).map((kind) =>
    gradients(loss, wrt, { ...options, ...forms(kind) }),
  );
  const named = (values: readonly Value[], prefix: string) =>
    values.map((value, i) => [`${prefix}${i}`, value] as const);
  const results = await runValues(
    engine,
    Object.fromEntries([...named(parts as Value[], "parts"), ...named(whole as Value[], "whole")]),
    INPUTS,
  );
  for (const i of wrt.keys()) expectClose(results[`whole${i}`]!, results[`parts${i}`]!, 2e-6, `input ${i}`);
}

/** Elements that are passed over. */
const elementwiseWork = (values: readonly Value[]) =>
  topologicalOrder(mapGraph(values, inliner()))
    .filter((value) => ["add", "sub", "mul", "div", "neg"].includes(value.op))
    .reduce((sum, { shape }) => sum + sizeOf(shape as number[]), 0);

const norm = (value: Value) => rmsNorm(value, w, b, { axis: 1, eps: 1e-5 });

describe.each<[string, Value, Value[]]>([
  ["silu", silu(x), [x]],
  ["RMS norm", norm(x), [x, w, b]],
  ["RMS norm, its mean a product", optimizeForward([norm(x)])[0] as Value, [x, w, b]],
  ["leaky ReLU", leakyRelu(x, 0.2), [x]],
  ["GELU", gelu(x), [x]],
  ["GELU by tanh", geluTanh(x), [x]],
  ["layer norm", layerNorm(x, { axis: -1, eps: 1e-5 }), [x]],
  ["layer norm with weights", layerNorm(x, { axis: -1, eps: 1e-5, weight: rw, bias: rb }), [x, rw, rb]],
  ["layer norm over channels", layerNorm(x, { axis: 1, eps: 1e-5, weight: w, bias: b }), [x, w, b]],
  ["softmax attention", softmaxAttention(x, k, v), [x, k, v]],
  ["one after the other", silu(norm(leakyRelu(silu(x), 0.1))), [x, w, b]],
])("%s", (_, y, wrt) => {
  test("gradients", () => compare(weighted(y), wrt));

  test("fewer passes", () => {
    const count = (kind: GradientForms["compositions"]) => elementwiseWork(gradients(weighted(y), wrt, forms(kind)));
    expect(count("whole")).toBeLessThan(count("by-op"));
  });

  test("second derivatives", () => {
    const first = gradients(weighted(y), wrt, forms("whole"));
    return compare(
      first.map((gradient) => reduceSum(mul(gradient, gradient))).reduce((sum, term) => mul(sum, term)),
      wrt,
    );
  });
});

test("parts that cover an axis are joined, and others put amid zeros", async () => {
  const [left, right] = split(x, 1, [1, 2]) as [Value, Value];
  const swapped = concat([right, left], 1);
  const gated = reduceSum(mul(slice(silu(swapped), 3, 0, 2), slice(c, 3, 1, 3)));
  await compare(gated, [x]);
  const [whole] = gradients(weighted(silu(swapped)), [x], forms("whole")) as [Value];
  expect(whole.op).toBe("concat");
  expect(topologicalOrder([whole]).some(({ op }) => op === "pad")).toBe(false);
  // Overlapping ranges, ranges of two axes, and a whole that is used as well.
  const overlapping = mul(
    reduceSum(slice(x, 2, 0, 3)),
    mul(reduceSum(slice(x, 2, 1, 4)), reduceSum(slice(x, 3, 1, 2))),
  );
  await compare(mul(overlapping, weighted(x)), [x]);
});

test.each<[string, Value, Value[]]>([
  ["group norm", groupNorm(slice(x, 1, 0, 2), slice(w, 0, 0, 2), slice(b, 0, 0, 2), { groups: 2, eps: 1e-5 }), [x, w]],
  ["an RMS norm over the last axis", rmsNorm(x, rw, rb, { axis: -1, eps: 1e-5 }), [x, rw, rb]],
  ["linear attention", linearAttention(x, slice(k, 2, 0, 4), slice(v, 2, 0, 4), 1e-15), [x, k, v]],
  ["softmax attention with channels first", softmaxAttention(x, x, x, { layout: "channels first" }), [x]],
  ["softmax attention whose values are broadcast", softmaxAttention(x, k, slice(v, 1, 0, 1)), [x, k, v]],
])("%s has no gradient of its own: its body's is taken", async (_, y, wrt) => {
  const flat = (value: Value) => reduceSum(mul(value, silu(value)));
  await compare(flat(y), wrt);
});

test("GELU's gradient reads nothing between its input and its result, so that a runtime may fuse these", () => {
  for (const activation of [gelu, geluTanh]) {
    const y = activation(x);
    const { body } = (y as ValueOf<"composite">).attributes;
    const interior = topologicalOrder([body.result]).filter(({ inputs }) => inputs.length > 0);
    const [dx] = gradients(weighted(y), [x], forms("whole")) as [Value];
    const described = (value: Value): string => `${value.op}(${value.inputs.map(described).join()})${labelOf(value)}`;
    const backward = new Set(topologicalOrder([dx]).map(described));
    // Equal subexpressions would be merged by the runtime.
    expect(interior.filter((value) => backward.has(described(value)))).toEqual([]);
  }
});

test("the transpose of a product of matrices is the product of the transposes, in batches too", async () => {
  // With y = c x^T and the loss sum of y^2, dx = (c^T 2y)^T = 2 y^T c.
  const y = matmul(c, transpose(x));
  const [dx] = gradients(reduceSum(mul(y, y)), [x]) as [Value];
  expect(dx.op).toBe("matmul");
  const expected = mul(matmul(transpose(y), c), 2);
  const results = await runValues(engine, { dx, expected }, INPUTS);
  expectClose(results.dx as Tensor, results.expected as Tensor, 1e-6, "dx");
});

/** What tells constants and inputs apart. */
function labelOf(value: Value): string {
  if (value.op === "constant") return String(value.attributes.tensor.toFloat32());
  return value.op === "input" ? value.attributes.name : "";
}

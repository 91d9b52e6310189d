/** Every composite is its body, in every form that its row in the table gives it. */
import { useEngine } from "@dcae/test-support/engine";
import { NO_WEIGHTS } from "@dcae/test-support/weights";
import { describe, expect, test } from "vitest";
import {
  add,
  averagingShortcut,
  COMPOSITE_NAMES,
  type CompositeName,
  constant,
  conv2d,
  cpuComposites,
  createProgram,
  createRandom,
  duplicatingShortcut,
  gelu,
  geluTanh,
  groupNorm,
  inlineComposites,
  input,
  layerNorm,
  leakyRelu,
  linearAttention,
  mul,
  type Program,
  rebuild,
  relu,
  rmsNorm,
  ShapeError,
  silu,
  sizeOf,
  softmaxAttention,
  Tensor,
  topologicalOrder,
  type Value,
  type ValueOf,
} from "../../src/graph/index.js";
import { channelsLastWinograd } from "../../src/graph/rewrite/channels-last.js";
import { toHalfPrecision } from "../../src/graph/rewrite/half-precision.js";
import { lowerProgram } from "../../src/onnx/index.js";
import { evaluate } from "../support/evaluate.js";

const engine = useEngine({ optimize: false });

const SHAPE = [2, 4, 6, 8] as const;
const [x, w, b] = [input("x", SHAPE), input("w", [4]), input("b", [4])];
const [rowWeight, rowBias] = [input("rw", [8]), input("rb", [8])];
const [q, k, v] = [input("q", [2, 3, 5, 4]), input("k", [2, 3, 5, 4]), input("v", [2, 3, 5, 4])];
const channels = { axis: 1, eps: 1e-5 };
const last = { axis: -1, eps: 1e-5 };

const alongRows = layerNorm(x, last);

/** Several of each; a composite without one doesn't compile. */
const cases: Readonly<Record<CompositeName, readonly Value[]>> = {
  silu: [silu(x)],
  leakyRelu: [leakyRelu(x, 0.2)],
  gelu: [gelu(x), geluTanh(x)],
  rmsNorm: [rmsNorm(x, w, b, channels), rmsNorm(x, rowWeight, rowBias, last)],
  layerNorm: [
    layerNorm(x, channels),
    layerNorm(x, { ...channels, weight: w, bias: b }),
    alongRows,
    layerNorm(x, { ...last, weight: rowWeight, bias: rowBias }),
  ],
  groupNorm: [groupNorm(x, w, b, { groups: 2, eps: 1e-6 })],
  averagingShortcut: [averagingShortcut(x, 8, 2), averagingShortcut(x, 2, 1), averagingShortcut(x, 16, 2)],
  duplicatingShortcut: [duplicatingShortcut(x, 2, 2), duplicatingShortcut(x, 8, 1), duplicatingShortcut(x, 1, 2)],
  linearAttention: [linearAttention(q, k, v, 1e-15), linearAttention(...swapped(), 1e-15)],
  softmaxAttention: [
    softmaxAttention(q, k, v),
    softmaxAttention(q, k, v, { layout: "channels first" }),
    softmaxAttention(q, k, v, { scale: 0.25 }),
  ],
};

/** More positions than channels. */
function swapped(): [Value, Value, Value] {
  return [input("q", [2, 3, 4, 5]), input("k", [2, 3, 4, 5]), input("v", [2, 3, 4, 5])];
}

function feed(program: Program): Record<string, Tensor> {
  const tensors = [...program.inputs.values()].map(({ attributes: { name, shape } }, i) => {
    const data = createRandom(7, i).normal(new Float32Array(sizeOf(shape as number[])));
    return [name, Tensor.float32(data, shape as number[])] as const;
  });
  return Object.fromEntries(tensors);
}

async function run(program: Program, inputs: Record<string, Tensor>): Promise<Float32Array> {
  const loaded = await engine.load(program, NO_WEIGHTS);
  const { y } = await loaded.run(inputs);
  await loaded.dispose();
  return (y as Tensor).toFloat32();
}

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  expect(actual.length).toBe(expected.length);
  const largest = Math.max(...Array.from(expected, Math.abs));
  const worst = Math.max(...Array.from(expected, (value, i) => Math.abs(value - (actual[i] as number))));
  expect(worst / largest).toBeLessThanOrEqual(tolerance);
}

const composites = (program: Program) =>
  topologicalOrder([...program.outputs.values()]).filter((value) => value.op === "composite");

describe.each(COMPOSITE_NAMES.flatMap((name) => cases[name].map((value, i) => [`${name} ${i}`, value] as const)))(
  "%s",
  (_, value) => {
    const call = value as ValueOf<"composite">;
    // Between other ops, as it stands in a network.
    const program = createProgram("test", { y: add(value, 0.5) });
    const inputs = feed(program);

    test("on the engine", async () => {
      expectClose(await run(program, inputs), evaluate(program.outputs.get("y") as Value, inputs).data, 1e-5);
    });

    test("inlined, it is its body, which reads the inputs alone", async () => {
      const inlined = inlineComposites(program).outputs.get("y") as Value;
      expect(inlined.inputs[0]).toBe(call.attributes.body.result);
      const leaves = topologicalOrder([call.attributes.body.result], (operand) => call.inputs.includes(operand));
      expect(leaves.filter(({ op }) => op === "input" || op === "parameter")).toEqual([]);
      expect(call.attributes.body.result.shape).toEqual(value.shape);
    });

    test("in the form for a CPU", async () => {
      expectClose(await run(cpuComposites(program), inputs), await run(inlineComposites(program), inputs), 1e-5);
    });

    test("at half precision", async () => {
      const half = toHalfPrecision(createProgram("test", { y: add(mul(value, 1), 0.5) }));
      expectClose(await run(half, inputs), await run(inlineComposites(program), inputs), 5e-3);
    });
  },
);

/** Those of pictures, whose other inputs are values per channel. */
const pictures = COMPOSITE_NAMES.flatMap((name) =>
  cases[name].map((value, i) => [`${name} ${i}`, value] as const),
).filter(([, { inputs }]) => inputs[0] === x && inputs.every((operand) => ([x, w, b] as Value[]).includes(operand)));

const FOLLOWING: ReadonlySet<CompositeName> = new Set<CompositeName>([
  "silu",
  "leakyRelu",
  "gelu",
  "rmsNorm",
  "layerNorm",
]);

test.each(pictures)("%s behind a convolution that has channels last", async (_, value) => {
  const weight = Tensor.float32(createRandom(3, 1).normal(new Float32Array(4 * 4 * 9)), [4, 4, 3, 3]);
  const [, ...others] = value.inputs as readonly [Value, ...Value[]];
  const behind = rebuild(value, [conv2d(x, constant(weight), { padding: 1 }), ...others]);
  const program = createProgram("test", { y: add(behind, 0.5) });
  const rewritten = channelsLastWinograd(program, () => 4);
  const inputs = feed(program);
  expectClose(await run(rewritten, inputs), await run(inlineComposites(program), inputs), 3e-5);
  // It follows the convolution, so that its result is what is transposed.
  const follows = composites(rewritten).some(({ inputs: [operand] }) => operand?.shape.at(-1) === 4);
  expect(follows).toBe(FOLLOWING.has((value as ValueOf<"composite">).attributes.name) && value !== alongRows);
});

describe("as an operator of ONNX", () => {
  const operators = (outputs: Record<string, Value>) =>
    lowerProgram(createProgram("test", outputs), () => "input").nodes.map(({ opType }) => opType);

  test.each<[string, Value, string[]]>([
    ["gelu", gelu(x), ["Gelu"]],
    ["gelu by tanh", geluTanh(x), ["Gelu"]],
    ["layer norm over the last axis", layerNorm(x, last), ["LayerNormalization"]],
    ["with weights", layerNorm(x, { ...last, weight: rowWeight, bias: rowBias }), ["LayerNormalization"]],
  ])("%s", (_, y, expected) => expect(operators({ y })).toEqual(expected));

  test("not where something inside of it is used elsewhere, which would be computed twice", () => {
    const y = layerNorm(x, last) as ValueOf<"composite">;
    const { normalized } = y.attributes.body.parts as Record<string, Value>;
    const types = operators({ y: y as Value, n: relu(normalized as Value) });
    expect(types).not.toContain("LayerNormalization");
    expect(types.filter((type) => type === "Sqrt")).toHaveLength(1);
  });
});

test("what a body refuses, the composite refuses", () => {
  expect(() => averagingShortcut(x, 3, 2)).toThrow(ShapeError);
  expect(() => duplicatingShortcut(x, 3, 1)).toThrow(ShapeError);
  expect(() => groupNorm(x, w, b, { groups: 3, eps: 1e-6 })).toThrow(ShapeError);
  expect(() => layerNorm(x, { ...last, weight: rowWeight })).toThrow(/a weight and a bias, or neither/);
  expect(() => leakyRelu(x, 1.5)).toThrow(/at most 1/);
});

/** Which values may share memory, as the first sizes of their shapes tell the runtime. */
import { useEngine } from "@dcae/test-support/engine";
import { NO_WEIGHTS } from "@dcae/test-support/weights";
import { expect, test } from "vitest";
import { dimToString } from "../../src/graph/dim.js";
import { add, createProgram, input, mul, relu, reshape, softmax, Tensor, transpose } from "../../src/graph/index.js";
import { encodeModel, lowerProgram } from "../../src/onnx/index.js";

const engine = useEngine();

const x = input("x", [2, 6]);
const soft = softmax(x, -1);
const second = softmax(mul(relu(soft), 2), 0);
const program = createProgram("test", { y: add(transpose(reshape(second, [3, 2, 2])), 1) });

const sizes = (freeEarly: boolean) => {
  const { values = [], inputs, nodes } = lowerProgram(program, () => "input", { freeEarly });
  const shapes = new Map([...inputs, ...values].map(({ name, shape }) => [name, shape.map(dimToString)]));
  return new Map(nodes.map(({ opType, outputs }) => [outputs[0] === "y" ? "y" : opType, shapes.get(outputs[0] ?? "")]));
};

test("what is written over an operand shares its size's name, all else has its own", () => {
  const found = sizes(true);
  const names = ["Softmax", "Relu", "Mul", "Reshape", "Transpose"].map((type) => found.get(type)?.[0]);
  // Of two Softmax nodes, the map has the second.
  const [again, inPlace, product, view, moved] = names;
  expect(inPlace).toBe(product);
  expect(new Set([again, inPlace, view, moved]).size).toBe(4);
  expect(names.every((name) => Number.isNaN(Number(name)))).toBe(true);
  expect(found.get("Reshape")?.slice(1)).toEqual(["2", "2"]);
  expect(found.get("y")).toBeUndefined();
});

test("by default shapes are written as they are", () => {
  expect([...sizes(false).values()].every((shape) => shape === undefined)).toBe(true);
});

test("the results are the same", async () => {
  const given = Tensor.float32(
    Array.from({ length: 12 }, (_, i) => i / 5),
    [2, 6],
  );
  const loaded = await engine.load(program, NO_WEIGHTS);
  const { y } = await loaded.run({ x: given });
  expect(y?.shape).toEqual([3, 2, 2]);
  const total = (y as Tensor).toFloat32().reduce((sum, value) => sum + value, 0);
  // Six columns whose two numbers add up to 1, plus 1 for each of twelve.
  expect(total).toBeCloseTo(18, 5);
  const lengths = [true, false].map(
    (freeEarly) => encodeModel(lowerProgram(program, () => "input", { freeEarly })).length,
  );
  expect(lengths[0]).toBeGreaterThan(lengths[1] as number);
});

/** Slices that make up a whole become one Split; all others stay slices. */
import { useEngine } from "@dcae/test-support/engine";
import { NO_WEIGHTS } from "@dcae/test-support/weights";
import { expect, test } from "vitest";
import { concat, createProgram, input, slice, Tensor, type Value } from "../../src/graph/index.js";
import { lowerProgram } from "../../src/onnx/index.js";

const engine = useEngine();

const x = input("x", [2, 6]);
const lowered = (outputs: Record<string, Value>) =>
  lowerProgram(createProgram("test", outputs), () => "input").nodes.map(({ opType }) => opType);

test("parts of a whole are one node, whatever their order and sizes", async () => {
  const [last, first, middle] = [slice(x, 1, 3, 6), slice(x, 1, 0, 1), slice(x, 1, 1, 3)];
  const y = concat([last, first, middle], 1);
  const types = lowered({ y, middle });
  expect(types.filter((type) => type === "Split")).toHaveLength(1);
  expect(types).not.toContain("Slice");

  const program = await engine.load(createProgram("test", { y, middle }), NO_WEIGHTS);
  const values = Float32Array.from({ length: 12 }, (_, i) => i);
  const result = await program.run({ x: Tensor.float32(values, [2, 6]) });
  expect([...(result.y as Tensor).toFloat32()]).toEqual([3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8]);
  expect([...(result.middle as Tensor).toFloat32()]).toEqual([1, 2, 7, 8]);
});

test.each<[string, readonly Value[]]>([
  ["a gap", [slice(x, 1, 0, 2), slice(x, 1, 3, 6)]],
  ["an overlap", [slice(x, 1, 0, 4), slice(x, 1, 3, 6)]],
  ["steps", [slice(x, 1, 0, 6, 2), slice(x, 1, 1, 6, 2)]],
  ["two axes", [slice(x, 0, 0, 1), slice(x, 1, 0, 3)]],
])("not with %s", (_, parts) => {
  expect(lowered(Object.fromEntries(parts.map((part, i) => [`y${i}`, part])))).not.toContain("Split");
});

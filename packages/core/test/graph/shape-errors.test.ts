/** Shape errors name the op, the shapes and the parameter close to the place. */
import { describe, expect, test } from "vitest";
import { convLayer } from "../../src/blocks/index.js";
import { ShapeError } from "../../src/errors.js";
import {
  add,
  concat,
  conv2d,
  createProgram,
  createScope,
  gather,
  input,
  matmul,
  ONES,
  pad,
  pixelUnshuffle,
  reshape,
  slice,
  symbol,
  where,
  ZEROS,
} from "../../src/graph/index.js";

function messageOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(ShapeError);
    return (error as ShapeError).message;
  }
  throw new Error("expected a ShapeError");
}

describe("shape errors", () => {
  test("name op, shapes and parameter path", () => {
    const scope = createScope();
    const x = input("x", [1, 4, 8, 8]);
    const y = convLayer(scope.at("encoder").at("stages").at(1).at("main").at("conv1"), x, { outChannels: 6 });
    const message = messageOf(() => add(x, y));
    expect(message).toContain("add([1, 4, 8, 8] float32, [1, 6, 8, 8] float32)");
    expect(message).toContain('at parameter "encoder.stages.1.main.conv1.conv.bias"');
  });

  const x = input("x", [2, 4, 6, 6]);
  test.each<[string, () => unknown, string]>([
    ["conv2d channels", () => conv2d(x, input("w", [8, 3, 3, 3])), "channels don't fit the weight"],
    ["conv2d window", () => conv2d(x, input("w", [8, 4, 9, 9])), "9x9 window"],
    ["conv2d bias", () => conv2d(x, input("w", [8, 4, 3, 3]), { bias: input("b", [7]) }), "bias must be [8]"],
    ["matmul", () => matmul(input("a", [2, 3]), input("b", [4, 5])), "inner dimensions differ"],
    ["dtype", () => add(x, input("i", [2, 4, 6, 6], "int64")), "dtypes differ"],
    ["reshape", () => reshape(x, [2, 5, -1]), "doesn't fit into [2, 5, -1]"],
    ["pixelUnshuffle", () => pixelUnshuffle(input("y", [1, 1, 5, 6]), 2), "multiples of 2"],
    ["slice", () => slice(x, 1, 2, 9), "2:9:1 is outside of axis 1"],
    ["slice symbolic", () => slice(input("s", [symbol("n"), 4]), 0, 1), "no fixed size"],
    ["reflect", () => pad(x, { 2: [6, 0] }, "reflect"), "can't reflect 6"],
    ["concat", () => concat([x, input("y", [2, 4, 5, 6])], 1), "differ in more than axis 1"],
    ["gather", () => gather(x, x), "indices must be integers"],
    ["where", () => where(x, x, 0), "condition must be bool"],
  ])("%s", (_, action, expected) => {
    expect(messageOf(action)).toContain(expected);
  });

  test("one name can't stand for two things", () => {
    expect(messageOf(() => createProgram("p", { y: add(input("x", [1]), input("x", [2])) }))).toContain('named "x"');
    const value = createScope().parameter("w", [1]);
    expect(messageOf(() => createProgram("p", { w: add(value, 1) }))).toContain('"w"');
    const scope = createScope();
    scope.parameter("w", [1]);
    expect(messageOf(() => scope.parameter("w", [2]))).toContain("[1] and [2]");
    expect(messageOf(() => scope.parameter("w", [1], { dtype: "int64" }))).toContain("float32 and int64");
    expect(messageOf(() => scope.parameter("w", [1], { trainable: false }))).toContain("trainable and not");
    expect(scope.parameter("w", [1], { dtype: "float32", trainable: true })).toBe(scope.parameter("w", [1]));
    // A block doesn't change what whoever asked before it chose.
    scope.parameter("w", [1], { init: ONES });
    expect(scope.parameters.get("w")?.init).toEqual(ZEROS);
  });

  test("a parameter has one dtype, also where a later request doesn't name it", () => {
    const scope = createScope();
    const counter = scope.at("norm").parameter("count", [], { dtype: "int64", trainable: false });
    expect(scope.at("norm").parameter("count", [])).toBe(counter);
  });

  test("a parameter is updated once", () => {
    const scope = createScope();
    const w = scope.at("norm").parameter("w", [2]);
    scope.at("norm").update("w", add(w, 1));
    expect(messageOf(() => scope.update("norm.w", add(w, 2)))).toContain('"norm.w" is updated twice');
    expect([...scope.updates.keys()]).toEqual(["norm.w"]);
  });

  test("updates must fit their parameters", () => {
    const scope = createScope();
    const w = scope.parameter("w", [2, 3]);
    expect(messageOf(() => createProgram("step", {}, { w: reshape(add(w, 1), [3, 2]) }))).toContain("can't replace");
  });
});

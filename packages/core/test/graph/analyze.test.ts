/** What is asked about programs, and the one way to make their values again. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  add,
  analyze,
  createProgram,
  cutsOf,
  graphMapper,
  inlineComposites,
  input,
  mapProgram,
  mul,
  neg,
  parameter,
  silu,
  sub,
  topologicalOrder,
  type Value,
  type ValueOf,
  ZEROS,
} from "../../src/graph/index.js";
import { programMemory } from "../../src/runtime/program-memory.js";

const x = input("x", [4, 8]);
const w = parameter({ name: "w", shape: [4, 8], dtype: "float32", init: ZEROS, trainable: true });

describe("analyze", () => {
  const scale = neg(w);
  const y = mul(x, scale);
  const square = mul(y, y);
  const program = createProgram("test", { square, y, scale });
  const { order, isConstant, users, uses } = analyze(program);

  test("is worked out once", () => expect(analyze(program)).toBe(analyze(program)));

  test("inputs come before their users", () => {
    const position = new Map(order.map((value, i) => [value, i]));
    for (const value of order)
      for (const operand of value.inputs) expect(position.get(operand)).toBeLessThan(position.get(value) as number);
  });

  test("knows what is the same at every run", () => {
    expect([w, scale].map(isConstant)).toEqual([true, true]);
    expect([x, y, square].map(isConstant)).toEqual([false, false, false]);
  });

  test("counts operands and results", () => {
    expect(users(y)).toEqual([square, square]);
    expect([w, scale, y, square].map(uses)).toEqual([1, 2, 3, 1]);
  });
});

test("cuts are what no edge passes by", () => {
  // Each value takes up to two earlier ones, at random.
  const links = fc.array(fc.tuple(fc.nat(), fc.nat()), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(links, (pairs) => {
      const values: Value[] = [x];
      for (const [a, b] of pairs)
        values.push(add(values[a % values.length] as Value, values[b % values.length] as Value));
      const order = topologicalOrder([values.at(-1) as Value]);
      const position = new Map(order.map((value, i) => [value, i]));
      const edges = order.flatMap((value, to) =>
        value.inputs.map((operand) => [position.get(operand) as number, to] as const),
      );
      const expected = order.filter((_, i) => !edges.some(([from, to]) => from < i && to > i));
      expect(cutsOf(order)).toEqual(expected);
    }),
    { seed: 3, numRuns: 200 },
  );
});

describe("values made again", () => {
  test("what nothing changes in stays the same value", () => {
    const program = createProgram("test", { y: sub(silu(x), mul(x, w)) });
    const again = mapProgram(program, (_value, _inputs, keep) => keep());
    expect(again.outputs.get("y")).toBe(program.outputs.get("y"));
  });

  test("what is replaced isn't followed, and composites are made again with their bodies", () => {
    const z = input("z", [4, 8]);
    const map = graphMapper(
      (_value, _inputs, keep) => keep(),
      (value) => (value === x ? z : undefined),
    );
    const made = map(silu(x)) as ValueOf<"composite">;
    expect(made.inputs).toEqual([z]);
    expect(made.attributes.body.result.inputs[0]).toBe(z);
  });

  test("parts of a body that others use are made once", () => {
    const y = silu(x) as ValueOf<"composite">;
    const { gate } = y.attributes.body.parts as Record<string, Value>;
    const program = inlineComposites(createProgram("test", { y: y as Value, gate: gate as Value }));
    expect(topologicalOrder([...program.outputs.values()]).filter(({ op }) => op === "sigmoid")).toHaveLength(1);
  });
});

describe("memory", () => {
  const bytes = 4 * 8 * 4;

  test("values live until they are read last; ops that work in place write over what they read last", () => {
    expect(programMemory(createProgram("test", { y: add(x, 1) })).activations).toBe(bytes);
    const y = neg(x);
    expect(programMemory(createProgram("test", { z: mul(neg(y), y) })).activations).toBe(2 * bytes);
  });

  test("composites take what their bodies take", () => {
    const program = createProgram("test", { y: silu(silu(x)) });
    expect(programMemory(program)).toEqual(programMemory(inlineComposites(program)));
  });

  test("what changes is state, and what it becomes is written there", () => {
    const program = createProgram("test", {}, { w: sub(w, mul(w, 0.5)) });
    const memory = programMemory(program);
    expect(memory).toMatchObject({ constants: 4, state: bytes, activations: bytes });
    // Of several programs that share a state: each tensor once, the most that one of them computes with.
    const sum = add(x, w);
    const twice = createProgram("test", { y: mul(neg(sum), sum) });
    expect(programMemory([program, program, twice])).toMatchObject({ state: bytes, activations: 2 * bytes });
    // The state, what it becomes, and the copy that comes back; the first two are one where the state is written over.
    const beside = programMemory(createProgram("test", { y: neg(w) }, { w: sub(w, mul(w, 0.5)) }));
    expect(memory.running).toBeGreaterThan(2 * bytes);
    expect(beside.running).toBeGreaterThan(memory.running + bytes);
    expect(programMemory(createProgram("test", { y: mul(x, w) })).constants).toBe(bytes);
  });
});

/** Forms: how a user's words become one, and what each makes of a program. */
import { describe, expect, test } from "vitest";
import { ConfigError, EngineError } from "../../src/errors.js";
import * as g from "../../src/graph/index.js";
import { chooseForm, compile, type Form, type FormOptions, leanForm, partsForm } from "../../src/runtime/compile.js";
import { errorOf } from "../support/error-of.js";

function program(side = 32): g.Program {
  const w = g.createScope().parameter("w", [256, 256, 3, 3]);
  return g.createProgram("conv", { y: g.conv2d(g.input("x", [1, 256, side, side]), w, { padding: 1 }) });
}

const counter = () => g.createScope().parameter("n", [1]);

const ops = ({ outputs }: g.Program) => g.topologicalOrder([...outputs.values()]).map(({ op }) => op);

describe("a user's words", () => {
  test.each<[FormOptions, Form]>([
    [{}, { kind: "auto", packWeights: true }],
    [{ optimize: "auto" }, { kind: "auto", packWeights: true }],
    [{ optimize: false }, { kind: "plain", packWeights: true }],
    [{ dtype: "float32", optimize: true }, { kind: "fast" }],
    [
      { dtype: "float16", optimize: false },
      { kind: "half", packWeights: true },
    ],
    [{ form: { kind: "stateful", blocked: false } }, { kind: "stateful", blocked: false }],
  ])("%j", (words, form) => expect(chooseForm(words)).toEqual(form));

  test.each<[FormOptions, RegExp]>([
    [{ dtype: "float16", optimize: true }, /optimize: it has no effect with dtype float16/],
    [{ dtype: "int8", optimize: true }, /optimize: it has no effect with dtype int8/],
    [{ dtype: "int8" }, /int8 needs the ranges/],
    [{ dtype: "bfloat16" as never }, /"bfloat16" is unknown/],
    [{ optimize: 1 as never }, /optimize: "1" is unknown/],
    [{ form: { kind: "fast" }, optimize: true }, /optimize: it has no effect beside form/],
  ])("%j contradict each other", (words, message) => {
    expect(errorOf(ConfigError, () => chooseForm(words)).message).toMatch(message);
  });
});

describe("what a form makes of a program", () => {
  test("plain: as it is written, without an arena", () => {
    const made = compile(program(), { kind: "plain", packWeights: false }, "cpu");
    expect(ops(made.program)).toEqual(ops(program()));
    expect(made.session).toEqual({ arena: false, planMemory: true, packWeights: false });
    // Weights are copied where they are packed; a small picture lets them decide.
    expect(compile(program(8), { kind: "plain", packWeights: false }, "cpu").predictMemory()).toBeLessThan(
      compile(program(8), chooseForm({ optimize: false }), "cpu").predictMemory(),
    );
  });

  test("fast: rewritten, with an arena and packed weights", () => {
    const made = compile(program(), { kind: "fast" }, "cpu");
    expect(ops(made.program)).not.toEqual(ops(program()));
    expect(made.session).toEqual({ arena: true, planMemory: false, packWeights: true });
    expect(made.predictMemory()).toBeGreaterThan(0);
  });

  describe("auto: what pays", () => {
    const auto = (runs: number): Form => ({ kind: "auto", packWeights: false, runs });

    test("parts of what pays are rewritten, too, however small", () => {
      const kindOf = (form: Form, side: number) => compile(program(side), form, "cpu").kind;
      const [few, many] = [4, 256];
      expect(kindOf(auto(20), few)).toBe("plain");
      expect(kindOf(auto(20), many)).toBe("fast");
      for (const side of [few, many]) {
        const parts = partsForm(auto(20), compile(program(side), auto(20), "cpu"));
        expect(kindOf(parts, few)).toBe(kindOf(auto(20), side));
      }
      const half: Form = { kind: "half", packWeights: false };
      expect(partsForm(half, compile(program(), half, "cpu"))).toBe(half);
    });

    test.each(g.INSTRUCTION_SETS)("the fast form where a program runs often, on %s", (set) => {
      const costs = g.CPU_COSTS[set];
      expect(compile(program(), auto(1000), "cpu", { costs })).toMatchObject({
        ...{ kind: "fast", session: compile(program(), { kind: "fast" }, "cpu", { costs }).session },
      });
      expect(compile(program(), auto(0), "cpu", { costs })).toMatchObject({
        ...{ kind: "plain", session: { arena: false, planMemory: true, packWeights: false } },
      });
    });

    test("the plain form where the fast one doesn't fit free memory", () => {
      const kindIn = (freeMemory: number) => compile(program(), auto(1000), "cpu", { freeMemory }).kind;
      const bytes = compile(program(), { kind: "fast" }, "cpu").predictMemory();
      expect(kindIn(bytes)).toBe("plain");
      expect(kindIn(2 * bytes)).toBe("fast");
      expect(compile(program(), { kind: "fast" }, "cpu", { freeMemory: bytes }).kind).toBe("fast");
    });

    test("programs without such convolutions, with updates, or for other devices run as they are written", () => {
      const w = g.createScope().parameter("w", [256, 256, 1, 1]);
      const pointwise = g.createProgram("pointwise", { y: g.conv2d(g.input("x", [1, 256, 32, 32]), w) });
      expect(compile(pointwise, auto(1000), "cpu").kind).toBe("plain");
      const { outputs } = program();
      const updating = g.createProgram("updating", Object.fromEntries(outputs), { n: g.add(counter(), 1) });
      expect(compile(updating, auto(1000), "cpu").kind).toBe("plain");
      for (const device of ["webgpu", "cuda", "wasm"] as const) {
        expect(compile(program(), auto(1000), device).kind).toBe("plain");
      }
      expect(leanForm(auto(1000))).toEqual({ kind: "plain", packWeights: false });
      expect(leanForm({ kind: "fast" })).toEqual({ kind: "fast" });
      const foreign = { kind: "int8", ranges: { other: { input: [-1, 1], output: [-1, 1] } } } as const;
      expect(errorOf(ConfigError, () => compile(program(), foreign, "cpu")).message).toContain("no convolution");
      expect(ops(compile(program(), leanForm(foreign), "cpu").program)).toEqual(ops(program()));
    });
  });

  test("half and int8: other types", () => {
    const half = compile(program(), { kind: "half", packWeights: true }, "webgpu");
    expect([...half.program.parameters.values()].map(({ dtype }) => dtype)).toEqual(["float16"]);
    expect(errorOf(EngineError, () => half.predictMemory()).message).toContain("only known for the CPU");
    const int8 = compile(program(), { kind: "int8", ranges: { w: { input: [-1, 1], output: [-1, 1] } } }, "cpu");
    expect(ops(int8.program)).toContain("qlinearConv2d");
    expect(int8.predictMemory()).toBeGreaterThan(0);
    expect(int8.predictMemory()).toBeLessThan(compile(program(), { kind: "fast" }, "cpu").predictMemory());
  });

  test("stateful: as it is, in the blocked layout where the runtime has one", () => {
    const original = program();
    const made = compile(original, { kind: "stateful", blocked: true }, "cpu");
    expect(made.program).toBe(original);
    expect(made.blocked).toBe(true);
    expect(compile(original, { kind: "stateful", blocked: true }, "webgpu").blocked).toBe(false);
    expect(compile(original, { kind: "stateful", blocked: false }, "cpu").blocked).toBe(false);
  });
});

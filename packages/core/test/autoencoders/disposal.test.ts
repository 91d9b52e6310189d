/** A model closes what it is made of, although one part fails; and says what isn't finite in a result, or too large. */
import { expect, test } from "vitest";
import type { Weights } from "../../src/checkpoint/weights.js";
import { EngineError } from "../../src/errors.js";
import { Tensor } from "../../src/graph/index.js";
import { Autoencoder, buildDecodeProgram, buildEncodeProgram } from "../../src/internal/index.js";
import { closeAll, createEngine, type Engine, failClosed } from "../../src/runtime/index.js";
import { memoryWeights } from "../support/memory-weights.js";
import { randomWeights } from "../support/random-weights.js";
import { tinyF32 } from "../support/tiny-config.js";

const program = buildEncodeProgram({ kind: "dc-ae", config: tinyF32 }, [1, 3, 32, 32]);

test("every closer is called, and the first failure is thrown", async () => {
  const called: number[] = [];
  const closer = (n: number, fails: boolean) => async () => {
    called.push(n);
    if (fails) throw new Error(`closer ${n}`);
  };
  const closers = [closer(1, false), closer(2, true), closer(3, true), closer(4, false)];
  await expect(closeAll(closers)).rejects.toThrow("closer 2");
  await expect(failClosed(new Error("the reason"), closers)).rejects.toThrow("the reason");
  expect(called).toEqual([1, 2, 3, 4, 1, 2, 3, 4]);
});

test("a model disposes engine and weights although its programs can't be released", async () => {
  const closed: string[] = [];
  const engine: Engine = {
    name: "stub",
    device: "cpu",
    load: async () => ({
      run: async () => ({ latent: Tensor.zeros([1, 2, 1, 1]) }),
      dispose: async () => {
        closed.push("program");
        throw new Error("busy");
      },
    }),
    createState: () => Promise.reject(new EngineError("no state")),
    dispose: async () => {
      closed.push("engine");
      throw new Error("busy too");
    },
  };
  const weights: Weights = {
    ...memoryWeights({}),
    close: async () => {
      closed.push("weights");
    },
  };
  const model = new Autoencoder({
    name: "tiny",
    description: { kind: "dc-ae", config: tinyF32, scalingFactor: null, shiftFactor: null },
    weights,
    engine,
  });
  await model.encode(Tensor.zeros([1, 3, 32, 32]));
  await model.encode(Tensor.zeros([1, 3, 64, 32]));
  await expect(model.dispose()).rejects.toThrow("busy");
  expect(closed).toEqual(["program", "program", "engine", "weights"]);
});

test("values beyond float32 aren't answered with the advice to use float32", async () => {
  const engine = await createEngine({ device: "cpu", threads: 1 });
  const weights = randomWeights(buildDecodeProgram({ kind: "dc-ae", config: tinyF32 }, [1, 2, 1, 1]), 3);
  const model = new Autoencoder({
    name: "tiny",
    description: { kind: "dc-ae", config: tinyF32, scalingFactor: null, shiftFactor: null },
    weights,
    engine,
  });
  try {
    const failure = await model.decode(Tensor.full([1, 2, 1, 1], 3e38)).catch((error: EngineError) => error);
    expect(failure).toBeInstanceOf(EngineError);
    const { message, hint } = failure as EngineError;
    expect(message).toMatch(/decode: values left the range of float32, although the input goes up to 3\.00e\+38/);
    expect(hint).toMatch(/pictures lie in \[-1, 1\]/);
    expect(hint).not.toMatch(/use dtype/i);
  } finally {
    await model.dispose();
  }
});

test("values beyond a narrower dtype are", async () => {
  const engine: Engine = {
    name: "stub",
    device: "webgpu",
    dtype: "float16",
    load: async () => ({
      run: async () => ({ latent: Tensor.full([1, 2, 1, 1], Number.POSITIVE_INFINITY) }),
      dispose: async () => {},
    }),
    createState: () => Promise.reject(new EngineError("no state")),
    dispose: async () => {},
  };
  const weights = randomWeights(program, 3);
  const model = new Autoencoder({
    name: "tiny",
    description: { kind: "dc-ae", config: tinyF32, scalingFactor: null, shiftFactor: null },
    weights,
    engine,
  });
  const failure = await model.encode(Tensor.zeros([1, 3, 32, 32])).catch((error: EngineError) => error);
  expect((failure as EngineError).message).toMatch(/left the range of float16/);
  expect((failure as EngineError).hint).toMatch(/float32/);
});

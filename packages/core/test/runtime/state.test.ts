/** State that an engine keeps between runs. */
import { useEngine } from "@dcae/test-support/engine";
import { NO_WEIGHTS } from "@dcae/test-support/weights";
import { expect, test } from "vitest";
import type { Weights } from "../../src/checkpoint/weights.js";
import {
  add,
  createProgram,
  div,
  gather,
  input,
  mul,
  parameter,
  reduceSum,
  Tensor,
  ZEROS,
} from "../../src/graph/index.js";
import type { Engine, EngineState } from "../../src/runtime/index.js";

const engine = useEngine();

const held = (name: string, shape: readonly number[] = [2]) =>
  parameter({ name, shape, dtype: "float32", init: ZEROS, trainable: true });

function weightsOf(tensors: Readonly<Record<string, Tensor>>): Weights {
  const entries = Object.entries(tensors).map(
    ([name, tensor]) => [name, { name, dtype: tensor.dtype, shape: tensor.shape, read: async () => tensor }] as const,
  );
  return { source: "test", entries: new Map(entries), close: async () => {} };
}

/** a += x, b *= 2; reports sum(a) from before the update. */
async function counter(): Promise<{ state: EngineState; step: Awaited<ReturnType<Engine["load"]>> }> {
  const [a, b] = [held("a"), held("b")];
  const program = createProgram("step", { sum: reduceSum(a) }, { a: add(a, input("x", [2])), b: mul(b, 2) });
  const state = await engine.createState(weightsOf({ a: Tensor.from([1, 2]), b: Tensor.from([1, -1]) }));
  return { state, step: await engine.load(program, NO_WEIGHTS, { state }) };
}

test("updates stay in the engine and are read on demand", async () => {
  const { state, step } = await counter();
  const x = Tensor.from([10, 20]);
  for (const sum of [3, 33, 63]) {
    const outputs = await step.run({ x });
    expect(Object.keys(outputs)).toEqual(["sum"]);
    expect(outputs.sum?.at()).toBe(sum);
  }
  expect((await state.read("a")).toNested()).toEqual([31, 62]);
  const all = await state.readAll();
  expect([...all.keys()].sort()).toEqual(["a", "b"]);
  expect(all.get("b")?.toNested()).toEqual([8, -8]);
});

test("tensors lie in memory of the caller, who reads and writes them there; new ones start at 0", async () => {
  const { state, step } = await counter();
  const places = { b: { offset: 1, shape: [2] }, fresh: { offset: 3, shape: [1] } };
  const memory = await state.place!(new Map(Object.entries(places)), 4);
  expect([...memory]).toEqual([0, 1, -1, 0]);
  await step.run({ x: Tensor.from([1, 1]) });
  expect([...memory]).toEqual([0, 2, -2, 0]);
  memory.set([5, 6, 7], 1);
  await state.write({ fresh: Tensor.from([8]) });
  expect(memory[3]).toBe(8);
  await step.run({ x: Tensor.from([1, 1]) });
  const all = await state.readAll();
  expect([all.get("a"), all.get("b"), all.get("fresh")].map((tensor) => tensor?.toNested())).toEqual([
    [3, 4],
    [10, 12],
    [8],
  ]);
  await expect(state.place!(new Map([["a", { offset: 0, shape: [3] }]]), 3)).rejects.toThrow(
    'the state holds "a" as [2] float32, not [3] float32',
  );
});

test("programs share a state", async () => {
  const { state, step } = await counter();
  const read = await engine.load(createProgram("eval", { twice: mul(held("a"), 2) }), NO_WEIGHTS, { state });
  expect((await read.run({})).twice?.toNested()).toEqual([2, 4]);
  const x = Tensor.from([1, 1]);
  await Promise.all([step.run({ x }), step.run({ x })]);
  expect((await read.run({})).twice?.toNested()).toEqual([6, 8]);
});

test("parameters that the state doesn't hold are constants of the program", async () => {
  const state = await engine.createState(weightsOf({ a: Tensor.from([1, 2]) }));
  const program = createProgram("mixed", {}, { a: div(held("a"), held("frozen")) });
  const step = await engine.load(program, weightsOf({ frozen: Tensor.from([2, 4]) }), { state });
  await step.run({});
  await step.run({});
  expect((await state.read("a")).toNested()).toEqual([0.25, 0.125]);
});

test("writing replaces tensors, keeps earlier reads, and checks shapes", async () => {
  const { state, step } = await counter();
  const before = await state.read("a");
  await state.write({ a: Tensor.from([5, 5]), c: Tensor.from([7]) });
  await step.run({ x: Tensor.from([1, 1]) });
  expect(before.toNested()).toEqual([1, 2]);
  expect((await state.read("a")).toNested()).toEqual([6, 6]);
  expect((await state.read("c")).toNested()).toEqual([7]);
  await expect(state.write({ a: Tensor.from([1, 2, 3]) })).rejects.toThrow(/holds "a" as \[2\], got \[3\]/);
  await expect(state.read("nothing")).rejects.toThrow(/holds no "nothing"/);
});

test("a run that fails leaves the state as it was", async () => {
  const { state, step } = await counter();
  await step.run({ x: Tensor.from([1, 1]) });
  await expect(step.run({})).rejects.toThrow(/needs an input "x"/);
  await expect(step.run({ x: Tensor.from([1]) })).rejects.toThrow(/needs "x" as \[2\] float32/);
  expect((await state.read("a")).toNested()).toEqual([2, 3]);
});

test("a run that fails while it computes loses the state, which says so", async () => {
  const index = input("index", [1], "int32");
  const program = createProgram("step", { row: gather(held("table"), index) }, { a: mul(held("a"), 2) });
  const state = await engine.createState(weightsOf({ a: Tensor.from([1, 2]), table: Tensor.from([3, 4]) }));
  const step = await engine.load(program, NO_WEIGHTS, { state });
  const at = (i: number) => ({ index: new Tensor("int32", Int32Array.of(i), [1]) });
  expect((await step.run(at(1))).row?.toNested()).toEqual([4]);
  await expect(step.run(at(5))).rejects.toThrow(/failed to run "step"/);
  await expect(state.read("a")).rejects.toThrow(/the state was lost when a run failed: /);
  await expect(step.run(at(0))).rejects.toThrow(/the state was lost/);
});

test("a program whose updates have no place is refused", async () => {
  const program = createProgram("lost", {}, { a: add(held("a"), 1) });
  await expect(engine.load(program, weightsOf({ a: Tensor.from([1, 2]) }))).rejects.toThrow(
    /"lost" updates "a", which no/,
  );
  const scalarState = await engine.createState(weightsOf({ a: Tensor.from([1]) }));
  await expect(engine.load(program, NO_WEIGHTS, { state: scalarState })).rejects.toThrow(
    /the state holds \[1\] float32/,
  );
});

test("integer counters and scalars are state too", async () => {
  const step = parameter({ name: "step", shape: [], dtype: "int32", init: ZEROS, trainable: false });
  const total = parameter({ name: "total", shape: [], dtype: "int64", init: ZEROS, trainable: false });
  const state = await engine.createState(
    weightsOf({ step: Tensor.zeros([], "int32"), total: Tensor.zeros([], "int64") }),
  );
  const program = createProgram("count", {}, { step: add(step, 1), total: add(total, 2) });
  const loaded = await engine.load(program, NO_WEIGHTS, { state });
  for (let i = 0; i < 3; i++) await loaded.run({});
  expect([(await state.read("step")).at(), (await state.read("total")).at()]).toEqual([3, 6n]);
});

test("a disposed state can't be used", async () => {
  const { state, step } = await counter();
  await state.dispose();
  await expect(step.run({ x: Tensor.from([1, 1]) })).rejects.toThrow(/the state was disposed/);
});

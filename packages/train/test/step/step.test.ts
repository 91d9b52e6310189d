/** Steps as programs: accumulation, averages, alternating GAN updates, fresh state. */

import { conv, norm } from "@dcae/core/blocks";
import { createRandom, input, reduceMean, type Scope, sizeOf, square, sub, Tensor, type Value } from "@dcae/core/graph";
import { inPlaceUpdates } from "@dcae/core/internal";
import type { EngineState, LoadedProgram } from "@dcae/core/runtime";
import { expectClose } from "@dcae/test-support/compare";
import { useEngine } from "@dcae/test-support/engine";
import { NO_WEIGHTS } from "@dcae/test-support/weights";
import { expect, test } from "vitest";
import { type AdversarialOptions, adversarialGradients, adversarialStep } from "../../src/phases/adversarial.js";
import { completeWeights, createTrainingState } from "../../src/step/training-state.js";
import {
  accumulationPrograms,
  gradientStep,
  type OptimizerOptions,
  stateProgram,
  stepProgram,
  type TrainingObjective,
} from "../../src/step/training-step.js";

const engine = useEngine();

const IMAGES = [2, 3, 16, 16] as const;

function picture(seed: number, shape: readonly number[] = IMAGES): Tensor {
  return Tensor.float32(createRandom(seed, 3).uniform(new Float32Array(sizeOf(shape)), -1, 1), shape);
}

/** Two convolutions, one of them below a name that can be frozen. */
function model(scope: Scope, x: Value): Value {
  const hidden = conv(scope.at("decoder.first"), x, { outChannels: 4 });
  return conv(scope.at("decoder.last"), hidden, { outChannels: 3 });
}

const objective =
  (batch: number): TrainingObjective =>
  (scope) => {
    const x = input("x", [batch, 3, 16, 16]);
    return { loss: reduceMean(square(sub(model(scope, x), x))), metrics: {} };
  };

const optimizer: OptimizerOptions = {
  name: "autoencoder",
  kind: "adamw",
  schedule: { kind: "constant", lr: 0.01 },
  weightDecay: 0.1,
  clipNorm: 0.5,
  averages: [{ decay: 0.9, warmupSteps: 0 }],
};

async function start(programs: Parameters<typeof createTrainingState>[1]): Promise<{
  state: EngineState;
  loaded: LoadedProgram[];
}> {
  const weights = completeWeights(programs, NO_WEIGHTS, 5);
  const state = await createTrainingState(engine, programs, weights);
  const loaded = await Promise.all(programs.map((program) => engine.load(program, weights, { state })));
  return { state, loaded };
}

test.each(["adamw", "lion", "came"] as const)(
  "a step of %s writes weights, moments and averages over the old ones",
  (kind) => {
    const { clipNorm: _, ...rest } = optimizer;
    for (const optimize of [false, true]) {
      const step = gradientStep(objective(2), () => true, { optimize });
      const program = stepProgram(step, { ...rest, kind } as OptimizerOptions);
      const names = [...program.updates.keys()];
      expect(names).toContain("ema.0.9.decoder.first.weight");
      const beside = names.filter((name) => !inPlaceUpdates(program).has(name));
      // The others' own moments are read by more than what becomes of them.
      expect(beside.filter((name) => kind === "adamw" || !name.startsWith(`${kind}.`))).toEqual([]);
    }
  },
);

test("two chunks make the same update as one batch", async () => {
  const everything = () => true;
  const whole = await start([stepProgram(gradientStep(objective(2), everything), optimizer)]);
  const { accumulate, apply } = accumulationPrograms(gradientStep(objective(1), everything), optimizer, 2);
  const chunked = await start([accumulate, apply]);
  for (let step = 0; step < 3; step++) {
    const x = picture(step);
    const { gradient_norm } = await whole.loaded[0]!.run({ x });
    for (const i of [0, 1]) await chunked.loaded[0]!.run({ x: x.slice([{ start: i, stop: i + 1 }]) });
    const applied = await chunked.loaded[1]!.run({});
    expectClose(applied.gradient_norm!, gradient_norm!, 1e-5);
  }
  for (const [name, tensor] of await whole.state.readAll())
    expectClose(await chunked.state.read(name), tensor, 1e-4, name);
  const buffers = [...chunked.state.specs.keys()].filter((name) => name.startsWith("accumulated."));
  expect(buffers).toHaveLength(4);
  for (const name of buffers) expect((await chunked.state.read(name)).toFloat32().every((v) => v === 0)).toBe(true);
});

test("the same seed gives the same run, bit by bit", async () => {
  const run = async () => {
    const { state, loaded } = await start([
      stepProgram(
        gradientStep(objective(2), () => true),
        optimizer,
      ),
    ]);
    for (let step = 0; step < 3; step++) await loaded[0]!.run({ x: picture(step) });
    return state.readAll();
  };
  const [first, second] = [await run(), await run()];
  for (const [name, tensor] of first) expect(second.get(name)!.bytes, name).toEqual(tensor.bytes);
});

test("a state written back continues as if it had never stopped", async () => {
  const program = stepProgram(
    gradientStep(objective(2), () => true),
    optimizer,
  );
  const { state, loaded } = await start([program]);
  await loaded[0]!.run({ x: picture(1) });
  const saved = await state.readAll();
  await loaded[0]!.run({ x: picture(2) });
  const expected = await state.readAll();
  const resumed = await start([program]);
  await resumed.state.write(Object.fromEntries(saved));
  await resumed.loaded[0]!.run({ x: picture(2) });
  for (const [name, tensor] of expected) expect((await resumed.state.read(name)).bytes, name).toEqual(tensor.bytes);
});

test("averages start at the weights and follow them", async () => {
  const { state, loaded } = await start([
    stepProgram(
      gradientStep(objective(2), () => true),
      optimizer,
    ),
  ]);
  const name = "decoder.last.weight";
  const [before, average] = [await state.read(name), await state.read(`ema.0.9.${name}`)];
  expect(average.bytes).toEqual(before.bytes);
  await loaded[0]!.run({ x: picture(1) });
  const after = (await state.read(name)).toFloat32();
  const expected = before.toFloat32().map((v, i) => v + 0.1 * ((after[i] as number) - v));
  expectClose(await state.read(`ema.0.9.${name}`), Tensor.float32(expected, before.shape), 1e-6);
});

const gan: AdversarialOptions = {
  reconstruct: (scope, x) => norm(scope.at("decoder.norm"), model(scope, x), "bn2d"),
  images: [2, 3, 32, 32],
  lpipsWeight: 0,
  trains: (name) => name.startsWith("decoder."),
  lastLayer: "decoder.last.weight",
  discriminator: { width: 4, layers: 2 },
  generatorOptimizer: optimizer,
  discriminatorOptimizer: { ...optimizer, name: "discriminator", averages: [] },
};

test("alternating programs make the first two updates of the joint one", async () => {
  const joint = await start([stateProgram("joint", adversarialStep(gan))]);
  const { generator, discriminator } = adversarialGradients(gan, "alternate");
  const alternating = await start([
    stepProgram(generator, gan.generatorOptimizer),
    stepProgram(discriminator, gan.discriminatorOptimizer),
  ]);
  const x = picture(1, gan.images);
  const together = await joint.loaded[0]!.run({ x });
  const first = await alternating.loaded[0]!.run({ x });
  const second = await alternating.loaded[1]!.run({ x });
  expectClose(first.lambda!, together.lambda!, 1e-5);
  expectClose(second.d_loss!, together.d_loss!, 1e-5);
  for (const [name, tensor] of await joint.state.readAll()) {
    expectClose(await alternating.state.read(name), tensor, 1e-4, name);
  }
  expect((await joint.state.read("discriminator.main.3.num_batches_tracked")).at()).toBe(3n);
  expect((await joint.state.read("decoder.norm.num_batches_tracked")).at()).toBe(2n);
});

test("recomputed activations make the same update", async () => {
  const run = async (recompute: boolean) => {
    const { state, loaded } = await start([stateProgram("gan", adversarialStep({ ...gan, recompute }))]);
    await loaded[0]!.run({ x: picture(1, gan.images) });
    return state.readAll();
  };
  const [kept, rebuilt] = [await run(false), await run(true)];
  for (const [name, tensor] of kept) expectClose(rebuilt.get(name)!, tensor, 1e-5, name);
});

test("before the start step the adversarial terms are off", async () => {
  const { state, loaded } = await start([stateProgram("gated", adversarialStep({ ...gan, start: 1 }))]);
  const before = await state.read("discriminator.main.0.weight");
  const first = await loaded[0]!.run({ x: picture(1, gan.images) });
  expect([first.lambda!.at(), first.d_loss!.at()]).toEqual([0, 0]);
  expect(before.shape).toEqual([4, 3, 4, 4]);
  const second = await loaded[0]!.run({ x: picture(2, gan.images) });
  expect(second.lambda!.at()).toBeGreaterThan(0);
  expect(second.d_loss!.at()).toBeGreaterThan(0);
});

test("wrong requests are refused", () => {
  expect(() => gradientStep(objective(1), () => false)).toThrow(/nothing to train/);
  expect(() => adversarialStep({ ...gan, lastLayer: "decoder.absent" })).toThrow(/"decoder.absent" isn't among/);
  const step = gradientStep(objective(1), () => true);
  expect(() => accumulationPrograms(step, optimizer, 0)).toThrow(/chunks must be a positive integer, got 0/);
});

/** Programs with sums over ranks, in parts; rows of batches. */

import { norm } from "@dcae/core/blocks";
import {
  add,
  createProgram,
  input,
  mul,
  parameter,
  reduceSum,
  sizeOf,
  sumOverRanks,
  Tensor,
  ZEROS,
} from "@dcae/core/graph";
import type { Communicator } from "@dcae/core/internal";
import { useEngine } from "@dcae/test-support/engine";
import { onRanks } from "@dcae/test-support/ranks";
import { memoryWeights, NO_WEIGHTS } from "@dcae/test-support/weights";
import { expect, test } from "vitest";
import { createPictureLoader } from "../../src/data/picture-loader.js";
import { sceneSource } from "../../src/data/picture-source.js";
import { createRanksEngine } from "../../src/parallel/ranks-engine.js";
import { splitProgram } from "../../src/parallel/split-program.js";
import { completeWeights, createTrainingState } from "../../src/step/training-state.js";
import { accumulationPrograms, gradientStep, stepProgram } from "../../src/step/training-step.js";

const engine = useEngine();

test("a program is cut where it sums, keeps what later parts need, and replaces parameters when nobody reads them any more", async () => {
  const w = parameter({ name: "w", shape: [2], dtype: "float32", init: ZEROS, trainable: true });
  const x = input("x", [2]);
  const square = mul(x, x);
  const first = sumOverRanks(mul(square, w), 2);
  const second = sumOverRanks(add(first, square), 2);
  const program = createProgram("twice", { y: add(second, w), z: reduceSum(first) }, { w: first });
  const { parts } = splitProgram(program, { rank: 0, size: 2 })!;
  expect(parts.map(({ sums }) => sums.length)).toEqual([1, 1, 0]);
  expect(parts.map((part) => part.program?.updates.has("w"))).toEqual([false, false, true]);
  expect(splitProgram(createProgram("plain", { y: square }), { rank: 0, size: 2 })).toBeUndefined();
  const results = await onRanks(2, async (ranks) => {
    const own = createRanksEngine(engine, ranks);
    const state = await own.createState(memoryWeights([["w", Tensor.float32([2, 3])]]));
    const loaded = await own.load(program, NO_WEIGHTS, { state });
    expect([...state.specs.keys()]).toEqual(["w"]);
    const outputs = await loaded.run({ x: Tensor.float32([1 + ranks.rank, 1]) });
    return { y: [...outputs.y!.toFloat32()], z: outputs.z!.at(), w: [...(await state.read("w")).toFloat32()] };
  });
  // first: (1 + 4) 2 and (1 + 1) 3; second: 2 * first + 5 and + 2.
  expect(results).toEqual(Array(2).fill({ y: [27, 17], z: 16, w: [10, 6] }));
});

const PIXELS = Float32Array.from({ length: 4 * 2 * 3 * 3 }, (_, i) => Math.sin(i * i));

/** Gradients of a loss behind a batch norm, of a weight and what the norm has, by so many ranks. */
const batchNormStep = (count: number) =>
  gradientStep(
    (scope) => {
      const x = input("x", [4 / count, 2, 3, 3]);
      const w = scope.parameter("w", [1, 2, 3, 3], { init: { kind: "constant", value: 0.5 } });
      const y = norm(scope.at("norm"), mul(x, w), "bn2d");
      return { loss: mul(reduceSum(mul(y, mul(y, x))), count / 4), metrics: {} };
    },
    () => true,
    { ranks: count },
  );

/** A rank's rows of `PIXELS` times `factor`. */
const rowsOf = ({ rank, size }: Communicator, factor = 1) =>
  Tensor.float32(
    PIXELS.map((value) => factor * value),
    [4, 2, 3, 3],
  ).slice([{ start: (rank * 4) / size, stop: ((rank + 1) * 4) / size }]);

/** All ranks have the same state, which is that of one process up to rounding. */
function expectSameStates(alone: ReadonlyMap<string, Tensor>, shared: readonly ReadonlyMap<string, Tensor>[]): void {
  for (const [name, tensor] of alone) {
    const theirs = shared.map((state) => state.get(name)!);
    expect(theirs[1]!.bytes, name).toEqual(theirs[0]!.bytes);
    tensor.cast("float64").data.forEach((value, i) => {
      expect(theirs[0]!.cast("float64").data[i], name).toBeCloseTo(value, 5);
    });
  }
}

test("two ranks update as one does: batch norm, its running statistics, clipping", async () => {
  const train = (count: number) =>
    onRanks(count, async (ranks) => {
      const own = createRanksEngine(engine, ranks);
      const program = stepProgram(batchNormStep(count), {
        kind: "adamw",
        name: "all",
        schedule: { kind: "constant", lr: 0.1 },
        clipNorm: 0.5,
      });
      const weights = completeWeights([program], NO_WEIGHTS, 0);
      const state = await createTrainingState(own, [program], weights);
      const loaded = await own.load(program, weights, { state });
      const { loss } = await loaded.run({ x: rowsOf(ranks) });
      await own.gatherState(state);
      return { loss: loss!.at() as number, state: await state.readAll() };
    });
  const [[alone], shared] = [await train(1), await train(2)];
  expect(shared[0]!.loss).toBeCloseTo(alone!.loss, 5);
  expectSameStates(
    alone!.state,
    shared.map(({ state }) => state),
  );
});

test.each(["adamw", "lion", "came"] as const)(
  "each rank makes its share of the updates by %s, with the bits of updates that one makes",
  async (kind) => {
    const shapes = { large: [16, 6], middle: [10, 9], small: [3], one: [1], slow: [8, 4] };
    const names = Object.keys(shapes) as (keyof typeof shapes)[];
    const schedule = { kind: "constant", lr: 0.01 } as const;
    /** What rank `rank` of three adds to gradients: sums of these are exact. */
    const terms = (rank: number, name: string, length: number) =>
      Float32Array.from({ length }, (_, i) => ((i * 7 + rank * 5 + name.length) % 9) / 8 - 0.4375);
    const train = (count: number) =>
      onRanks(count, async (ranks) => {
        const own = createRanksEngine(engine, ranks);
        const step = gradientStep(
          (scope) => ({
            loss: names
              .map((name) => reduceSum(mul(scope.parameter(name, shapes[name]), input(`${name} x`, shapes[name]))))
              .reduce((sum, loss) => add(sum, loss)),
            metrics: {},
          }),
          () => true,
          { ranks: count },
        );
        const program = stepProgram(step, {
          ...{ kind, name: "all", schedule, clipNorm: 0.5, averages: [{ decay: 0.9, warmupSteps: 0 }] },
          groups: [{ kind: "adamw", name: "slow", parameters: ["slow"], schedule, clipNorm: 1 }],
        });
        const weights = completeWeights([program], NO_WEIGHTS, 7);
        const state = await createTrainingState(own, [program], weights);
        const loaded = await own.load(program, weights, { state });
        const inputs = names.map((name) => {
          const length = sizeOf(shapes[name]);
          const all = [0, 1, 2].map((rank) => terms(rank, name, length));
          const mean = all[0]!.map((_, i) => Math.fround(1 / 3) * all.reduce((sum, values) => sum + values[i]!, 0));
          return [`${name} x`, Tensor.float32(count === 1 ? mean : all[ranks.rank]!, shapes[name])] as const;
        });
        for (let update = 0; update < 3; update++) await loaded.run(Object.fromEntries(inputs));
        const before = await state.readAll();
        await own.gatherState(state);
        return { before, after: await state.readAll() };
      });
    const [[alone], shared] = [await train(1), await train(3)];
    const averages = names.map((name) => `ema.0.9.${name}`);
    for (const [name, { bytes }] of alone!.after) {
      for (const { after } of shared) expect(after.get(name)?.bytes, name).toEqual(bytes);
      const upToDate = shared.filter(({ before }) => Buffer.from(before.get(name)!.bytes).equals(bytes)).length;
      // Weights are handed on at once; a scalar isn't worth it.
      if (names.includes(name as never) || name.endsWith("one")) expect(upToDate, name).toBe(3);
      else if (averages.includes(name)) expect(upToDate, name).toBe(1);
    }
  },
);

test("two ranks accumulate as one does behind a batch norm: its gradients are each rank's own until they are summed", async () => {
  const train = (count: number) =>
    onRanks(count, async (ranks) => {
      const own = createRanksEngine(engine, ranks);
      const { accumulate, apply } = accumulationPrograms(
        batchNormStep(count),
        { kind: "adamw", name: "all", schedule: { kind: "constant", lr: 0.1 }, eps: 1e-2 },
        2,
      );
      const weights = completeWeights([accumulate, apply], NO_WEIGHTS, 0);
      const state = await createTrainingState(own, [accumulate, apply], weights);
      const [adding, applying] = [
        await own.load(accumulate, weights, { state }),
        await own.load(apply, weights, { state }),
      ];
      for (const sign of [1, -0.5]) await adding.run({ x: rowsOf(ranks, sign) });
      await applying.run({});
      await own.gatherState(state);
      return state.readAll();
    });
  const [[alone], shared] = [await train(1), await train(2)];
  expectSameStates(alone!, shared);
});

test("the rows of ranks are the batches of one, also where some can't be read", async () => {
  const scenes = sceneSource({ seed: 1, count: 20 });
  const source = {
    ...scenes,
    recipe: async (index: number) =>
      index % 3 === 0 ? ({ kind: "file", path: `/nowhere/${index}.png` } as never) : scenes.recipe(index),
  };
  const options = { sources: [{ source }], batch: 4, size: 16, seed: 5, workers: 0, prefetch: 1 };
  const whole = createPictureLoader(options);
  const expected = [await whole.next(), await whole.next(), await whole.next()];
  await whole.close();
  const shared = await onRanks(2, async (ranks) => {
    const part = {
      start: 2 * ranks.rank,
      stop: 2 * ranks.rank + 2,
      share: async (own: readonly never[]) => (await ranks.gather("unreadable", own)).flat(),
    };
    const loader = createPictureLoader({ ...options, part: part as never });
    const batches = [await loader.next(), await loader.next(), await loader.next()];
    await loader.close();
    return batches;
  });
  expected.forEach(({ images, position }, i) => {
    expect(Tensor.concat(shared.map((batches) => batches[i]!.images)).bytes).toEqual(images.bytes);
    for (const batches of shared) expect(batches[i]!.position).toEqual(position);
  });
  expect(expected.at(-1)!.position.corrupt.length).toBeGreaterThan(0);
});

/** Updates of the tiny training's phases by several ranks in one process. */
import { createRandom, Tensor } from "@dcae/core/graph";
import type { Engine } from "@dcae/core/runtime";
import { onRanks } from "@dcae/test-support/ranks";
import { NO_WEIGHTS } from "@dcae/test-support/weights";
import { expect } from "vitest";
import type { TrainingPhase } from "../../src/configs/schema.js";
import { createRanksEngine } from "../../src/parallel/ranks-engine.js";
import { drawAugmentations } from "../../src/phases/diff-augment.js";
import { completeWeights, createTrainingState } from "../../src/step/training-state.js";
import { autoencoderStages } from "../../src/trainer/autoencoder-stages.js";
import { describeModel } from "../../src/trainer/phase-start.js";
import { loadStages, type Metrics, stagePrograms } from "../../src/trainer/update-stage.js";
import { TINY_PHASES, tinyTraining } from "./tiny-training.js";

const BATCH = 4;

/** As in the reference's tiny run: an eps that keeps rounding from being divided by gradients that are almost 0. */
const optimizer = (lr: number) => ({ schedule: { kind: "constant" as const, lr }, clipNorm: 1, eps: 1e-3 });
const { one, two, three } = TINY_PHASES;
const gan = {
  ...three.gan,
  augment: ["color", "translation", "cutout"] as ("color" | "translation" | "cutout")[],
  optimizer: optimizer(5.4e-4),
};
export const RANKED_PHASES = tinyTraining([
  { ...one, size: 16, batch: BATCH, optimizer: optimizer(6.4e-4) },
  { ...two, size: 16, batch: BATCH, optimizer: optimizer(1.6e-4) },
  { ...three, size: 16, batch: BATCH, optimizer: optimizer(5.4e-4), gan },
]).phases;

interface Trained {
  readonly metrics: readonly Metrics[];
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/** What each of `count` ranks comes to after updates on the same pictures. */
export async function trainOn(inner: Engine, count: number, phase: TrainingPhase, updates: number): Promise<Trained[]> {
  const model = describeModel(tinyTraining([phase])).config;
  const { size, accumulate } = phase;
  const chunks = Array.from({ length: updates * accumulate }, (_, i) => ({
    x: createRandom(3, `pictures ${i}`).uniform(new Float32Array(BATCH * 3 * size * size), -1, 1),
    draws: drawAugmentations(3, i * BATCH, BATCH, size),
  }));
  return onRanks(count, async (ranks) => {
    const engine = createRanksEngine(inner, ranks);
    const rows = BATCH / count;
    const part = { start: ranks.rank * rows, stop: (ranks.rank + 1) * rows };
    const stages = autoencoderStages({ ...phase, batch: rows }, model, null, true, null, count);
    const programs = stagePrograms(stages);
    const weights = completeWeights(programs, NO_WEIGHTS, 1);
    const state = await createTrainingState(engine, programs, weights);
    const loaded = await loadStages(engine, stages, accumulate, weights, state);
    const metrics: Metrics[] = [];
    for (let update = 0; update < updates; update++) {
      const batches = chunks.slice(update * accumulate, (update + 1) * accumulate).map(({ x, draws }) => ({
        x: Tensor.float32(x, [BATCH, 3, size, size]).slice([part]),
        ...(phase.gan?.augment === undefined ? {} : { augment: draws.slice([{}, part]) }),
      }));
      metrics.push(await loaded.update(update + 1, batches));
    }
    await engine.gatherState(state);
    const tensors = await state.readAll();
    await loaded.dispose();
    await state.dispose();
    return { metrics, tensors };
  });
}

const largestOf = (values: Iterable<number>) => [...values].reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** Losses, weights and averages within `tolerance` of their largest value; all ranks have the same bits. */
export function expectSameTraining([alone]: readonly Trained[], shared: readonly Trained[], tolerance: number): void {
  const { tensors } = alone as Trained;
  const [first, ...others] = shared as [Trained, ...Trained[]];
  for (const other of others) {
    expect(other.metrics).toEqual(first.metrics);
    for (const [name, { bytes }] of first.tensors) expect(other.tensors.get(name)?.bytes, name).toEqual(bytes);
  }
  const lossesOf = ({ metrics }: Trained) =>
    metrics.flatMap((row) => Object.entries(row).flatMap(([name, value]) => (/l1|loss/.test(name) ? [value] : [])));
  const [expected, found] = [lossesOf(alone as Trained), lossesOf(first)];
  expect(found.length).toBe(expected.length);
  const error = largestOf(expected.map((value, i) => value - (found[i] as number)));
  expect(error / largestOf(expected)).toBeLessThanOrEqual(tolerance);
  const values = [...tensors].filter(([name]) => /^(encoder|decoder|discriminator|ema)\./.test(name));
  expect(values.length).toBeGreaterThan(10);
  const largest = largestOf(values.map(([, tensor]) => largestOf(tensor.toFloat32())));
  for (const [name, tensor] of values) {
    const theirs = (first.tensors.get(name) as Tensor).toFloat32();
    const difference = largestOf(tensor.toFloat32().map((value, i) => value - (theirs[i] as number)));
    expect(difference / largest, name).toBeLessThanOrEqual(tolerance);
  }
}

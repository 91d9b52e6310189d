/** The first updates of a tiny adversarial training, stage by stage as a run makes them. */
import type { Engine } from "@dcae/core";
import { createRandom, sizeOf, Tensor } from "@dcae/core/graph";
import { NO_WEIGHTS } from "@dcae/test-support/weights";
import { expect } from "vitest";
import { completeWeights, createTrainingState } from "../../src/step/training-state.js";
import { autoencoderStages } from "../../src/trainer/autoencoder-stages.js";
import { describeModel } from "../../src/trainer/phase-start.js";
import { loadStages, type Metrics, stagePrograms } from "../../src/trainer/update-stage.js";
import { TINY_PHASES, tinyTraining } from "./tiny-training.js";

const UPDATES = 4;

export interface GanCase {
  readonly phase: 1 | 2 | 3;
  readonly schedule: "both" | "alternate";
  readonly start: number;
  readonly accumulate: number;
  readonly factor?: number;
}

/** Of one block per half, so that each of its programs is small. */
const MODEL = {
  latentChannels: 4,
  encoder: { widthList: [4, 8], depthList: [0, 1] },
  decoder: { widthList: [4, 8], depthList: [0, 1], norm: ["trms2d", "bn2d"] },
};

/** Metrics of the first four updates. */
export async function ganUpdates(
  engine: Engine,
  { phase, schedule, start, accumulate, factor = 1 }: GanCase,
): Promise<Metrics[]> {
  const { gan, ...three } = TINY_PHASES.three;
  // The last layer doesn't train in phase 2, and nothing else may decide the adaptive weight.
  const adversarial = { ...gan, layers: 1, schedule, start, factor, adaptive: phase !== 2 };
  const input = { ...three, trains: { kind: "phase" as const, phase }, size: 16, batch: 1, accumulate };
  const config = tinyTraining([{ ...input, steps: UPDATES, optimize: false, gan: adversarial }], { model: MODEL });
  const model = describeModel(config).config;
  const stages = autoencoderStages(config.phases[0]!, model, null);
  const programs = stagePrograms(stages);
  const weights = completeWeights(programs, NO_WEIGHTS, 5);
  const state = await createTrainingState(engine, programs, weights);
  const loaded = await loadStages(engine, stages, accumulate, weights, state);
  const shape = [1, 3, 16, 16];
  const random = createRandom(1, 3);
  const picture = () => ({ x: Tensor.float32(random.uniform(new Float32Array(sizeOf(shape)), -1, 1), shape) });
  const seen: Metrics[] = [];
  try {
    for (let step = 1; step <= UPDATES; step++) {
      seen.push(await loaded.update(step, Array.from({ length: accumulate }, picture)));
    }
  } finally {
    await loaded.dispose();
    await state.dispose();
  }
  return seen;
}

/** Runs a case and checks who acted at which update, and from which one on the adversarial losses are on. */
export async function expectGates(engine: Engine, ganCase: GanCase): Promise<void> {
  const { schedule, start } = ganCase;
  const seen = await ganUpdates(engine, ganCase);
  seen.forEach((metrics, update) => {
    const [ofG, ofD] = schedule === "both" ? [true, true] : [update % 2 === 0, update % 2 === 1];
    expect(["l1" in metrics, "d_loss" in metrics], `update ${update}`).toEqual([ofG, ofD]);
    const isOn = update >= start;
    if (ofG) expect((metrics.lambda as number) > 0, `generator at update ${update}`).toBe(isOn);
    if (ofD) expect((metrics.d_loss as number) > 0, `discriminator at update ${update}`).toBe(isOn);
    for (const [name, value] of Object.entries(metrics)) expect(Number.isFinite(value), name).toBe(true);
  });
}

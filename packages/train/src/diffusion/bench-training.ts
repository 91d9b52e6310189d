/**
 * What one training step of a diffusion model costs on given latents: forward, backward and AdamW, with arbitrary weights, in
 * the forms that `trainDiffusion` takes.
 * Averages of the weights aren't kept, which published timings leave out too.
 */

import { totalmem } from "node:os";
import { EngineError, Tensor } from "@dcae/core";
import { createRandom, sizeOf } from "@dcae/core/graph";
import { formatBytes } from "@dcae/core/internal";
import { type Engine, withClosing } from "@dcae/core/runtime";
import { denoiserParameters, denoiserPreset, drawObjective, objectiveOf, trainingLoss } from "@dcae/diffusion";
import {
  benchmarkWeights,
  denoiserCost,
  dropLabels,
  latentShape,
  type StepBench,
  type StepMeasurement,
  timeRuns,
} from "@dcae/diffusion/internal";
import { completeWeights, createTrainingState } from "../step/training-state.js";
import { gradientStep, stepProgram } from "../step/training-step.js";
import { estimateMemory } from "../trainer/estimate-memory.js";

/** Times one update, for `benchDiffusion`. @throws EngineError when the step needs more memory than the machine has */
export async function benchTraining(engine: Engine, bench: StepBench): Promise<StepMeasurement> {
  const { size, latent, batch, overrides } = bench;
  const { config, recipe } = denoiserPreset(size, latent, overrides);
  const objective = objectiveOf(recipe);
  const program = stepProgram(
    gradientStep(trainingLoss(config, objective, batch), () => true, { optimize: true }),
    { name: "denoiser", kind: "adamw", schedule: { kind: "constant", lr: 1e-6 } },
  );
  checkMemory(estimateMemory([program]).process);
  const weights = completeWeights([program], benchmarkWeights(denoiserParameters(config)), 0);
  return withClosing(async (onEnd) => {
    const state = await createTrainingState(engine, [program], weights);
    onEnd(() => state.dispose());
    const loaded = await engine.load(program, weights, { state });
    onEnd(() => loaded.dispose());
    const random = createRandom(0);
    const shape = latentShape(config, batch);
    const inputs = {
      latents: Tensor.float32(random.normal(new Float32Array(sizeOf(shape))), shape),
      labels: dropLabels(
        Array.from({ length: batch }, (_, i) => i),
        config,
        random,
      ),
      ...drawObjective(objective, random, shape),
    };
    return { ...denoiserCost(config), times: await timeRuns(() => loaded.run(inputs), bench) };
  });
}

/** A machine that runs out of memory takes other programs with it. */
function checkMemory(bytes: number): void {
  if (bytes <= totalmem()) return;
  throw new EngineError(`the step needs about ${formatBytes(bytes)}, this machine has ${formatBytes(totalmem())}`);
}

/** The update of a diffusion training as a program: loss, gradients, optimizer, averages. */
import { type Objective, type ParsedDenoiser, trainingLoss } from "@dcae/diffusion";
import { namedOptimizer } from "../configs/run-schedule.js";
import { accumulationPrograms, gradientStep, stepProgram } from "../step/training-step.js";
import type { UpdateStage } from "../trainer/update-stage.js";
import type { DiffusionConfig } from "./diffusion-config.js";

export function denoiserStages(
  { config }: ParsedDenoiser,
  objective: Objective,
  { batch, accumulate, steps, optimizer, ema, recompute, optimize }: DiffusionConfig,
): UpdateStage[] {
  // Everything trains but a fixed position embedding, which isn't trainable.
  const step = gradientStep(trainingLoss(config, objective, batch), () => true, { recompute, optimize });
  const options = namedOptimizer("denoiser", optimizer, steps, ema);
  return [{ run: accumulate === 1 ? stepProgram(step, options) : accumulationPrograms(step, options, accumulate) }];
}

/** The update of a diffusion training as a program: loss, gradients, optimizer, averages. */
import { type Objective, type ParsedDenoiser, trainingLoss } from "@dcae/diffusion";
import { accumulationPrograms, gradientStep, namedOptimizer, stepProgram, type UpdateStage } from "@dcae/train";
import type { DiffusionTraining } from "./schema.js";

export function denoiserStages(
  { config }: ParsedDenoiser,
  objective: Objective,
  { batch, accumulate, steps, optimizer, ema, recompute, optimize }: DiffusionTraining,
): UpdateStage[] {
  // Everything trains but a fixed position embedding, which isn't trainable.
  const step = gradientStep(trainingLoss(config, objective, batch), () => true, { recompute, optimize });
  const options = namedOptimizer("denoiser", optimizer, steps, ema);
  return [{ run: accumulate === 1 ? stepProgram(step, options) : accumulationPrograms(step, options, accumulate) }];
}

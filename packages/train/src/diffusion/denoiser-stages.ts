/** The update of a diffusion training as a program: loss, gradients, optimizer, averages. */
import { denoiserParameters, type Objective, type ParsedDenoiser, trainingLoss } from "@dcae/diffusion";
import { namedOptimizer } from "../configs/run-schedule.js";
import { accumulationPrograms, gradientStep, stepProgram } from "../step/training-step.js";
import { type ParameterRow, parameterTable } from "../trainer/parameter-table.js";
import type { UpdateStage } from "../trainer/update-stage.js";
import type { DiffusionConfig } from "./diffusion-config.js";

/** Every parameter of the training. */
export function denoiserTable({ config }: ParsedDenoiser, { optimizer, steps }: DiffusionConfig): ParameterRow[] {
  return parameterTable(denoiserParameters(config), trainsAll, namedOptimizer("denoiser", optimizer, steps));
}

/** Everything trains but a fixed position embedding, which isn't trainable. */
const trainsAll = () => true;

export function denoiserStages(
  { config }: ParsedDenoiser,
  objective: Objective,
  { batch, accumulate, steps, optimizer, ema, recompute, optimize }: DiffusionConfig,
): UpdateStage[] {
  const step = gradientStep(trainingLoss(config, objective, batch), trainsAll, { recompute, optimize });
  const options = namedOptimizer("denoiser", optimizer, steps, ema);
  return [{ run: accumulate === 1 ? stepProgram(step, options) : accumulationPrograms(step, options, accumulate) }];
}

/** The update of a diffusion training as a program: loss, gradients, optimizer, averages. */
import { denoiserParameters, type Objective, type ParsedDenoiser, trainingLoss } from "@dcae/diffusion";
import { namedOptimizer } from "../configs/run-schedule.js";
import { batchesPerUpdate, checkCounts } from "../data/channel-counts.js";
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

/**
 * The programs of an update of a denoiser, by a training's configuration.
 *
 * @param training with the batch of one rank
 * @param ranks that share a batch
 * @throws ConfigError when the network doesn't take the counts of channels that the training draws
 */
export function denoiserStages(
  { config }: ParsedDenoiser,
  objective: Objective,
  training: DiffusionConfig,
  ranks = 1,
): UpdateStage[] {
  const { batch, channels, steps, optimizer, ema, recompute, optimize } = training;
  if (channels !== null) {
    checkCounts(channels, {
      latentChannels: config.inChannels,
      isAdaptive: config.adaptiveChannel,
      name: "the denoiser",
      hint: "Set denoiser.model.adaptive_channel to true.",
    });
  }
  const loss = trainingLoss(config, objective, batch, channels !== null);
  const step = gradientStep(loss, trainsAll, { recompute, optimize, ranks });
  const options = namedOptimizer("denoiser", optimizer, steps, ema);
  const batches = batchesPerUpdate(training);
  return [{ run: batches === 1 ? stepProgram(step, options) : accumulationPrograms(step, options, batches) }];
}

/** A phase of autoencoder training as the programs of its updates: objective, gradients, optimizer. */
import { ConfigError, type Scope, type Value } from "@dcae/core/graph";
import { type DcAeConfig, dcAeDecode, dcAeEncode, spatialCompression } from "@dcae/core/models";
import type { Engine } from "@dcae/core/runtime";
import { namedOptimizer } from "../configs/run-schedule.js";
import type { TrainingPhase } from "../configs/schema.js";
import { type AdversarialOptions, adversarialGradients, adversarialStep } from "../phases/adversarial.js";
import { lastLayerName, trainingRule } from "../phases/phase-parameters.js";
import { type ReconstructionLossOptions, reconstructionObjective } from "../phases/reconstruction.js";
import {
  accumulationPrograms,
  type GradientStep,
  gradientStep,
  type OptimizerOptions,
  stateProgram,
  stepProgram,
} from "../step/training-step.js";
import type { UpdateStage } from "./update-stage.js";

/** Picture to reconstruction. */
export function reconstructor(model: DcAeConfig): (scope: Scope, x: Value) => Value {
  return (scope, x) => dcAeDecode(scope, dcAeEncode(scope, x, model), model);
}

/** @param perceptual whether LPIPS is a part of the loss (its weights are there) */
export function reconstructionOptions(
  phase: TrainingPhase,
  model: DcAeConfig,
  perceptual: boolean,
): ReconstructionLossOptions {
  return {
    reconstruct: reconstructor(model),
    images: [phase.batch, model.inChannels, phase.size, phase.size],
    l1Weight: phase.l1Weight,
    lpipsWeight: perceptual ? phase.lpipsWeight : 0,
  };
}

/** Metrics without that of a loss that takes no part: a curve of zeros would look like a perfect one. */
function reported<T extends { readonly metrics: Readonly<Record<string, Value>> }>(step: T, perceptual: boolean): T {
  const { lpips, ...others } = step.metrics;
  return perceptual || lpips === undefined ? step : { ...step, metrics: others };
}

/** Whether programs of the phase take the forms that are faster on a CPU: not where something else runs them. */
export function optimizesFor(engine: Engine, phase: TrainingPhase): boolean {
  return phase.optimize && engine.device === "cpu" && engine.rewrite !== undefined;
}

/** Steps that each optimizer makes in the phase: half of the updates where they take turns. */
export function optimizerSteps({ steps, gan }: TrainingPhase): { autoencoder: number; discriminator: number } {
  if (gan?.schedule !== "alternate") return { autoencoder: steps, discriminator: steps };
  return { autoencoder: Math.ceil(steps / 2), discriminator: Math.floor(steps / 2) };
}

/**
 * The updates of a phase; several batches per update where it accumulates.
 *
 * @param optimize see `optimizesFor`
 * @throws ConfigError when its pictures don't fit the model, or nothing trains
 */
export function autoencoderStages(
  phase: TrainingPhase,
  model: DcAeConfig,
  perceptual: boolean,
  optimize: boolean = phase.optimize,
): UpdateStage[] {
  const { gan, accumulate, recompute } = phase;
  const compression = spatialCompression(model);
  if (phase.size % compression !== 0) {
    throw new ConfigError(
      `${phase.name}: size ${phase.size} isn't a multiple of ${compression}, the model's compression`,
    );
  }
  const trains = trainingRule(phase, model);
  const options = reconstructionOptions(phase, model, perceptual);
  const usesLpips = options.lpipsWeight !== 0;
  const every = gan?.schedule === "alternate" ? 2 : 1;
  const steps = optimizerSteps(phase);
  const optimizer = namedOptimizer("autoencoder", phase.optimizer, steps.autoencoder, phase.ema);
  const update = (step: GradientStep, by: OptimizerOptions) =>
    accumulate === 1 ? stepProgram(step, by) : accumulationPrograms(step, by, accumulate);
  if (gan === null) {
    const step = reported(gradientStep(reconstructionObjective(options), trains, { recompute, optimize }), usesLpips);
    return [{ run: update(step, optimizer) }];
  }
  const adversarial: AdversarialOptions = {
    ...options,
    trains,
    lastLayer: gan.adaptive ? lastLayerName(model) : null,
    weight: gan.weight,
    start: gan.start,
    factor: gan.factor,
    loss: gan.loss,
    discriminator: { width: gan.width, layers: gan.layers },
    generatorOptimizer: optimizer,
    discriminatorOptimizer: namedOptimizer("discriminator", gan.optimizer, steps.discriminator),
    recompute,
    optimize,
  };
  if (gan.schedule === "both" && accumulate === 1) {
    const step = reported(adversarialStep(adversarial), usesLpips);
    return [{ run: stateProgram(`${phase.name} step`, step) }];
  }
  const { generator, discriminator } = adversarialGradients(adversarial, gan.schedule);
  return [
    { run: update(reported(generator, usesLpips), adversarial.generatorOptimizer), every, turn: 0 },
    { run: update(discriminator, adversarial.discriminatorOptimizer), every, turn: every - 1 },
  ];
}

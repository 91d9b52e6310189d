/** A phase of autoencoder training as the programs of its updates: objective, gradients, optimizer. */
import { ConfigError, mul, type Scope, type Value } from "@dcae/core/graph";
import {
  type DcAeConfig,
  dcAeDecode,
  dcAeEncode,
  familyOf,
  type ModelPartName,
  modelParameters,
  spatialCompression,
} from "@dcae/core/models";
import type { Engine } from "@dcae/core/runtime";
import { namedOptimizer } from "../configs/run-schedule.js";
import { sidesOf, type TrainingPhase } from "../configs/schema.js";
import { batchesPerUpdate, channelMaskInput, checkCounts } from "../data/channel-counts.js";
import {
  type AdversarialOptions,
  adversarialGradients,
  adversarialStep,
  DISCRIMINATOR_SCOPE,
} from "../phases/adversarial.js";
import { distillation, TEACHER_SCOPE, type Teacher } from "../phases/distillation.js";
import type { Perceptual } from "../phases/perceptual.js";
import { lastLayerName, trainingRule } from "../phases/phase-parameters.js";
import { type ReconstructionLossOptions, reconstructionObjective } from "../phases/reconstruction.js";
import type { TrainingRule } from "../step/training-rule.js";
import {
  accumulationPrograms,
  type GradientStep,
  gradientStep,
  type OptimizerOptions,
  stateProgram,
  stepProgram,
} from "../step/training-step.js";
import { type ParameterRow, parametersBelow, parameterTable } from "./parameter-table.js";
import { stagePrograms, type UpdateStage } from "./update-stage.js";

/**
 * Picture to reconstruction.
 *
 * @param masked whether the channels of latents are multiplied by an input, the mask of channel-counts.ts
 */
export function reconstructor(model: DcAeConfig, masked = false): (scope: Scope, x: Value) => Value {
  return (scope, x) => {
    const latent = dcAeEncode(scope, x, model);
    return dcAeDecode(scope, masked ? mul(latent, channelMaskInput(model.latentChannels)) : latent, model);
  };
}

/** Which halves of the model train in a phase. */
export function trainedHalves(phase: Pick<TrainingPhase, "trains">, model: DcAeConfig): Record<ModelPartName, boolean> {
  const trains = trainingRule(phase, model);
  const learnable = modelParameters({ kind: "dc-ae", config: model }).filter((spec) => spec.trainable);
  const some = (part: ModelPartName) => learnable.some(({ name }) => name.startsWith(`${part}.`) && trains(name));
  return { encoder: some("encoder"), decoder: some("decoder") };
}

/** Whether the phase trains the decoder alone, and none has trained the encoder yet. */
export function trainsDecoderFirst(phases: readonly TrainingPhase[], index: number, model: DcAeConfig): boolean {
  const halves = phases.slice(0, index + 1).map((phase) => trainedHalves(phase, model));
  return halves.at(-1)?.decoder === true && halves.every(({ encoder }) => !encoder);
}

/**
 * @param perceptual what compares pictures where that is a part of the loss
 * @param teacher of a distillation; an evaluation has none where it sees what the model does on its own
 */
export function reconstructionOptions(
  phase: TrainingPhase,
  model: DcAeConfig,
  perceptual: Perceptual | null,
  teacher: Teacher | null = null,
): ReconstructionLossOptions {
  return {
    reconstruct: reconstructor(model, phase.channels !== null),
    ...(teacher && distillation({ teacher, student: model, trains: trainedHalves(phase, model) })),
    images: [phase.batch, model.inChannels, phase.size, phase.size],
    l1Weight: phase.l1Weight,
    ...(perceptual === null ? { lpipsWeight: 0 } : { lpipsWeight: phase.lpipsWeight, perceptual }),
  };
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

/** @throws ConfigError when the model doesn't take the counts of channels that the phase trains */
function checkChannels({ name, channels }: TrainingPhase, model: DcAeConfig): void {
  if (channels === null) return;
  const { encoder, decoder } = familyOf({ kind: "dc-ae" }).isAdaptive(model);
  checkCounts(channels, {
    latentChannels: model.latentChannels,
    isAdaptive: encoder && decoder,
    name: `${name}: the model`,
    hint: "Its configuration needs AdaptiveOutputConvLayer and AdaptiveInputConvLayer, without shortcuts around the latent.",
  });
}

/** @throws ConfigError for what a teacher doesn't go with */
function checkDistillation(phase: TrainingPhase, model: DcAeConfig): void {
  if (phase.channels !== null) {
    throw new ConfigError(`${phase.name}: channels: can't be drawn where latents are those of a teacher`);
  }
  if (phase.gan !== null && trainedHalves(phase, model).encoder) {
    throw new ConfigError(`${phase.name}: an encoder that learns a teacher's latents can't train with a GAN`, {
      hint: "Train it in a phase before, and let this one train the decoder or its head.",
    });
  }
}

/**
 * Every parameter of the phase: the model's, then the discriminator's.
 *
 * @param stages of the phase
 */
export function phaseParameters(
  phase: TrainingPhase,
  model: DcAeConfig,
  stages: readonly UpdateStage[],
): ParameterRow[] {
  const { autoencoder, discriminator } = optimizerSteps(phase);
  const own = parameterTable(
    modelParameters({ kind: "dc-ae", config: model }),
    trainingRule(phase, model),
    namedOptimizer("autoencoder", phase.optimizer, autoencoder),
  );
  if (phase.gan === null) return own;
  const others = parametersBelow(stagePrograms(stages), DISCRIMINATOR_SCOPE);
  const optimizer = namedOptimizer("discriminator", phase.gan.optimizer, discriminator);
  return [...own, ...parameterTable(others, () => true, optimizer)];
}

/**
 * The updates of a phase; several batches per update where it accumulates, or trains several counts of channels. Where its pictures have
 * several sides, each stage has a program for each of them, the first for `size`.
 *
 * @param phase with the batch of one rank
 * @param optimize see `optimizesFor`
 * @param teacher of a distillation
 * @param ranks that share a batch
 * @throws ConfigError when its pictures or channels don't fit the model, or nothing trains
 */
export function autoencoderStages(
  phase: TrainingPhase,
  model: DcAeConfig,
  perceptual: Perceptual | null,
  optimize: boolean = phase.optimize,
  teacher: Teacher | null = null,
  ranks = 1,
): UpdateStage[] {
  const form = { optimize, ranks, teacher };
  const stages = stagesAt(phase, model, perceptual, form);
  const others = sidesOf(phase)
    .filter(({ size }) => size !== phase.size)
    .map(({ size }) => stagesAt({ ...phase, size }, model, perceptual, form));
  if (others.length === 0) return stages;
  return stages.map((stage, i) => ({ ...stage, others: others.map((list) => (list[i] as UpdateStage).run) }));
}

/** The updates at the phase's `size` alone. */
function stagesAt(
  phase: TrainingPhase,
  model: DcAeConfig,
  perceptual: Perceptual | null,
  {
    optimize,
    ranks,
    teacher,
  }: { readonly optimize: boolean; readonly ranks: number; readonly teacher: Teacher | null },
): UpdateStage[] {
  const { gan, recompute } = phase;
  const batches = batchesPerUpdate(phase);
  const compression = spatialCompression(model);
  if (phase.size % compression !== 0) {
    throw new ConfigError(
      `${phase.name}: size ${phase.size} isn't a multiple of ${compression}, the model's compression`,
    );
  }
  checkChannels(phase, model);
  const rule = trainingRule(phase, model);
  const trains: TrainingRule = (name) => !name.startsWith(`${TEACHER_SCOPE}.`) && rule(name);
  if (teacher !== null) checkDistillation(phase, model);
  const options = reconstructionOptions(phase, model, perceptual, teacher);
  const every = gan?.schedule === "alternate" ? 2 : 1;
  const steps = optimizerSteps(phase);
  const optimizer = namedOptimizer("autoencoder", phase.optimizer, steps.autoencoder, phase.ema);
  const update = (step: GradientStep, by: OptimizerOptions) =>
    batches === 1 ? stepProgram(step, by) : accumulationPrograms(step, by, batches);
  if (gan === null) {
    const step = gradientStep(reconstructionObjective(options), trains, { recompute, optimize, ranks });
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
    augment: gan.augment,
    generatorOptimizer: optimizer,
    discriminatorOptimizer: namedOptimizer("discriminator", gan.optimizer, steps.discriminator),
    recompute,
    optimize,
    ranks,
  };
  if (gan.schedule === "both" && batches === 1) {
    return [{ run: stateProgram(`${phase.name} step`, adversarialStep(adversarial)) }];
  }
  const { generator, discriminator } = adversarialGradients(adversarial, gan.schedule);
  return [
    { run: update(generator, adversarial.generatorOptimizer), every, turn: 0 },
    { run: update(discriminator, adversarial.discriminatorOptimizer), every, turn: every - 1 },
  ];
}

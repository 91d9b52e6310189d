/** What a training would do, before it does it: which parameters train, how many, for how long, in how much memory. */
import { ConfigError, sizeOf } from "@dcae/core/graph";
import { formatBytes, formatCount, formatTable, plural, rowsPerRank } from "@dcae/core/internal";
import { type DcAeConfig, modelParameters } from "@dcae/core/models";
import { describeRates } from "../configs/run-schedule.js";
import { type SizeShare, sidesOf, type TrainingConfig, type TrainingPhase } from "../configs/schema.js";
import { describeCounts } from "../data/channel-counts.js";
import { lpipsPerceptual, type Perceptual } from "../phases/perceptual.js";
import { placeOf, trainingPatterns, trainingRule } from "../phases/phase-parameters.js";
import { autoencoderStages, optimizerSteps, phaseParameters, trainedHalves } from "./autoencoder-stages.js";
import { describeRanks, estimateMemory, type MemoryEstimate } from "./estimate-memory.js";
import type { ParameterRow } from "./parameter-table.js";
import { describeModel } from "./phase-start.js";
import { describeTeacher } from "./teacher.js";
import { stagePrograms } from "./update-stage.js";

/** A part of the model of which something trains. */
export interface TrainedGroup {
  /** A child of the encoder or decoder, as in "decoder.stages.1". */
  readonly name: string;
  readonly tensors: number;
  readonly values: number;
}

/** What a phase will do. */
export interface PhasePlan {
  readonly name: string;
  /** What trains, as beginnings or patterns of official names; "*" is everything. */
  readonly rule: readonly string[];
  /** Parameters of the model that train, by place. */
  readonly trained: readonly TrainedGroup[];
  readonly trainedValues: number;
  /** Learnable values of the whole model. */
  readonly modelValues: number;
  readonly steps: number;
  /** Pictures per update. */
  readonly picturesPerUpdate: number;
  /** Processes that share them. */
  readonly ranks: number;
  readonly size: number;
  /** All sides of its pictures, as drawn. */
  readonly sizes: readonly SizeShare[];
  /** Of one process. */
  readonly memory: MemoryEstimate;
  /** The course of the learning rate in words, by optimizer. */
  readonly learningRates: Readonly<Record<string, string>>;
  /** Every parameter, and what becomes of it. */
  readonly parameters: readonly ParameterRow[];
  /** Where the perceptual and adversarial losses, and those of a teacher, take part. */
  readonly losses: readonly string[];
  /** Which counts of latent channels train, in words; null: all channels. */
  readonly channels: string | null;
}

function planPhase(
  config: TrainingConfig,
  phase: TrainingPhase,
  optimize: boolean,
  ranks: number,
  described: Perceptual | null | undefined,
): PhasePlan {
  const model = describeModel(config);
  const learnable = modelParameters(model).filter(({ trainable }) => trainable);
  const trains = trainingRule(phase, model.config);
  const groups = new Map<string, TrainedGroup>();
  for (const { name, shape } of learnable.filter((spec) => trains(spec.name))) {
    const place = placeOf(name);
    const { tensors, values } = groups.get(place) ?? { tensors: 0, values: 0 };
    groups.set(place, { name: place, tensors: tensors + 1, values: values + sizeOf(shape) });
  }
  const perceptual = perceptualOf(config, phase, described);
  const trained = [...groups.values()];
  const stages = autoencoderStages(
    { ...phase, batch: rowsPerRank(phase.batch, ranks, phase.name) },
    model.config,
    perceptual,
    phase.optimize && optimize,
    describeTeacher(config),
    ranks,
  );
  return {
    name: phase.name,
    rule: trainingPatterns(phase, model.config),
    trained,
    trainedValues: trained.reduce((sum, { values }) => sum + values, 0),
    modelValues: learnable.reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    steps: phase.steps,
    picturesPerUpdate: phase.batch * phase.accumulate,
    ranks,
    size: phase.size,
    sizes: sidesOf(phase),
    memory: estimateMemory(stagePrograms(stages), ranks),
    learningRates: learningRatesOf(phase),
    parameters: phaseParameters(phase, model.config, stages),
    losses: [
      "L1",
      ...(perceptual === null ? [] : [perceptual.label]),
      ...distilled(config, phase, model.config),
      ...(phase.gan === null ? [] : [`GAN (${phase.gan.loss})`]),
    ],
    channels: phase.channels && describeCounts(phase.channels, model.config.latentChannels),
  };
}

/** What the teacher adds to the losses. */
function distilled({ teacher }: TrainingConfig, phase: TrainingPhase, model: DcAeConfig): string[] {
  if (teacher === null) return [];
  return [
    ...(trainedHalves(phase, model).encoder ? ["latents of the teacher"] : []),
    ...(teacher.decodesWeight > 0 ? ["decodes of the teacher"] : []),
  ];
}

/** @throws ConfigError where it is that of a network that wasn't looked at */
function perceptualOf(
  { perceptual }: TrainingConfig,
  { lpipsWeight }: TrainingPhase,
  described: Perceptual | null | undefined,
): Perceptual | null {
  if (perceptual === "none" || lpipsWeight === 0) return null;
  if (described) return described;
  if (!("network" in perceptual)) return lpipsPerceptual();
  throw new ConfigError("perceptual: a plan needs to know what the network is", {
    hint: "Pass what `describePerceptual` says of the training.",
  });
}

function learningRatesOf(phase: TrainingPhase): Record<string, string> {
  const rates = Object.entries(optimizerSteps(phase)).flatMap(([name, steps]) => {
    const optimizer = name === "autoencoder" ? phase.optimizer : phase.gan?.optimizer;
    if (optimizer === undefined) return [];
    return [[name, describeRates(optimizer, steps)] as const];
  });
  return Object.fromEntries(rates);
}

/**
 * The plan of each phase. Nothing is read or computed: the programs are built and looked at.
 *
 * @param phases names; all if undefined
 * @param optimize whether the engine will be one that takes programs in their faster form, which needs more memory
 * @param ranks processes that share each batch
 * @param perceptual by `describePerceptual`, where the training's perceptual loss is that of a network
 * @throws ConfigError when nothing would train, the model isn't a DC-AE, or ranks can't divide a batch
 * @example
 * ```ts
 * import { formatPlan, overrideConfig, planTraining, trainingRecipe } from "@dcae/train";
 *
 * const config = overrideConfig(trainingRecipe("small-f32-scenes"), ["phases.phase1.steps=500"]);
 * console.log(planTraining(config).map(({ name, trainedValues }) => `${name}: ${trainedValues} values train`));
 * ```
 */
export function planTraining(
  config: TrainingConfig,
  phases?: readonly string[],
  optimize = true,
  ranks = 1,
  perceptual?: Perceptual | null,
): PhasePlan[] {
  return config.phases
    .filter(({ name }) => phases === undefined || phases.includes(name))
    .map((phase) => planPhase(config, phase, optimize, ranks, perceptual));
}

/** "256x256", or all sides with their shares. */
function describeSides({ size, sizes }: PhasePlan): string {
  if (sizes.length === 1) return `${size}x${size}`;
  const total = sizes.reduce((sum, { share }) => sum + share, 0);
  const parts = sizes.map((side) => `${side.size}x${side.size} (${Number(((100 * side.share) / total).toFixed(1))}%)`);
  return `${parts.join(", ")}, evaluated at ${size}x${size}`;
}

/** A plan as lines of text. */
export function formatPlan(plan: PhasePlan): string {
  const { name, rule, trained, trainedValues, modelValues, steps, picturesPerUpdate, memory, losses } = plan;
  const { channels, ranks } = plan;
  const rates = new Map(Object.entries(plan.learningRates).map(([optimizer, rate]) => [rate, optimizer]));
  return [
    `${name}: ${plural(steps, "update")} of ${plural(picturesPerUpdate, "picture")}${describeRanks(picturesPerUpdate, ranks)} at ${describeSides(plan)}, ${losses.join(" + ")}`,
    `  trains ${formatCount(trainedValues)} of ${formatCount(modelValues)} parameters (${rule.join(", ")}):`,
    ...formatTable(
      trained.map(({ name, values, tensors }) => [
        `    ${name}`,
        `${formatCount(values)} in ${plural(tensors, "tensor")}`,
      ]),
    ),
    ...(channels === null ? [] : [`  ${channels}`]),
    ...[...rates].map(([rate, of]) => `  learning rate${rates.size === 1 ? "" : ` of the ${of}`}: ${rate}`),
    `  memory of the process, estimated: ${formatBytes(memory.process)} (tensors: weights that stay ` +
      `${formatBytes(memory.frozen)}, state ${formatBytes(memory.state)}, activations ${formatBytes(memory.activations)})`,
  ].join("\n");
}

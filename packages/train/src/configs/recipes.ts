/**
 * Trainings by name, as data: `dcae train --config <name>`.
 *
 * Values marked in training.md as published are taken over (learning rates, decays, betas, what trains in which phase); batch
 * sizes and numbers of updates were never published, so those here are this project's choices. `results` is null until somebody
 * has run a recipe to its end and written down what came out.
 */
import { ConfigError } from "@dcae/core/graph";
import { parseTrainingConfig, type TrainingConfig, type TrainingConfigInput } from "./schema.js";

type Phase = TrainingConfigInput["phases"][number];
type Optimizer = Phase["optimizer"];

/** Constant after a warm-up from a tenth of it (training.md section 6). */
function adamW(lr: number, warmupSteps: number, more: Partial<Optimizer> = {}): Optimizer {
  return { schedule: { kind: "constant-warmup", lr, warmupLr: lr / 10, warmupSteps }, ...more };
}

interface Sizes {
  readonly low: number;
  readonly high: number;
  readonly batch: number;
  readonly highBatch: number;
  /** Updates of phase 1; the others follow in the ratio 10 : 2 : 3. */
  readonly steps: number;
  readonly warmup: number;
  /** Learning rates, relative to the published ones. Small models take larger ones. */
  readonly lrScale?: number;
  readonly evaluateEvery: number;
  /** 0 is the narrow set of layers in phases 2 and 3, 1 the default. */
  readonly stages?: 0 | 1;
  readonly ganWidth?: number;
  readonly recompute?: boolean;
}

/** The three phases with the published optimizer values (training.md section 2). */
function threePhases(sizes: Sizes): Phase[] {
  const {
    low,
    high,
    batch,
    highBatch,
    steps,
    warmup,
    lrScale = 1,
    evaluateEvery,
    stages = 1,
    recompute = false,
  } = sizes;
  const shared = { checkpointEvery: evaluateEvery, evaluateEvery, recompute };
  const accumulate = Math.max(1, Math.round(batch / highBatch));
  const gan = { betas: [0.5, 0.9] as [number, number] };
  return [
    {
      ...shared,
      name: "phase1",
      trains: { kind: "phase", phase: 1 },
      size: low,
      batch,
      steps,
      optimizer: adamW(6.4e-5 * lrScale, warmup, { weightDecay: 0.1 }),
    },
    {
      ...shared,
      name: "phase2",
      trains: { kind: "phase", phase: 2, stagesEachSide: stages },
      size: high,
      batch: highBatch,
      accumulate,
      steps: Math.round(steps * 0.2),
      optimizer: adamW(1.6e-5 * lrScale, Math.round(warmup * 0.2), { weightDecay: 0.001 }),
    },
    {
      ...shared,
      name: "phase3",
      trains: { kind: "phase", phase: 3, decoderStages: stages },
      size: low,
      batch,
      steps: Math.round(steps * 0.3),
      optimizer: adamW(5.4e-5 * lrScale, Math.round(warmup * 0.3), gan),
      gan: { width: sizes.ganWidth ?? 64, optimizer: adamW(5.4e-5 * lrScale, Math.round(warmup * 0.3), gan) },
    },
  ];
}

/** A small f32 model: 32 latent channels, 3.7 million parameters. */
const SMALL_F32 = {
  latentChannels: 32,
  encoder: { widthList: [16, 32, 64, 128, 128, 128], depthList: [0, 1, 1, 1, 1, 1] },
  decoder: { widthList: [16, 32, 64, 128, 128, 128], depthList: [0, 1, 1, 1, 1, 1] },
};

/** The same network without residual autoencoding: the four shortcuts are gone (training.md section 7). */
const SMALL_F32_PLAIN = {
  latentChannels: 32,
  encoder: { ...SMALL_F32.encoder, downsampleShortcut: null, outShortcut: null },
  decoder: { ...SMALL_F32.decoder, upsampleShortcut: null, inShortcut: null },
};

const SMALL: Sizes = {
  low: 64,
  high: 128,
  batch: 16,
  highBatch: 4,
  steps: 10_000,
  warmup: 1000,
  lrScale: 10,
  evaluateEvery: 500,
  ganWidth: 32,
};
const FULL: Sizes = {
  low: 256,
  high: 512,
  batch: 16,
  highBatch: 4,
  steps: 500_000,
  warmup: 10_000,
  evaluateEvery: 5000,
  recompute: true,
};

const SCENES = { sources: [{ kind: "scenes" as const }] };
const IMAGENET = { sources: [{ kind: "folder" as const, path: "data/imagenet/train" }] };
const IMAGENET_VAL = { sources: [{ kind: "folder" as const, path: "data/imagenet/val" }], count: 256 };

const smallPhases = threePhases(SMALL);

const inputs: readonly TrainingConfigInput[] = [
  {
    name: "small-f32-scenes",
    about: "A small f32 model through all three phases on procedural scenes: no data and no LPIPS weights needed.",
    model: SMALL_F32,
    perceptual: "none",
    data: SCENES,
    phases: smallPhases,
  },
  {
    name: "small-f32-scenes-no-shortcuts",
    about: "Ablation of residual autoencoding: phase 1 of small-f32-scenes without the four shortcuts.",
    model: SMALL_F32_PLAIN,
    perceptual: "none",
    data: SCENES,
    phases: smallPhases.slice(0, 1),
  },
  {
    name: "small-f32-scenes-single-phase",
    about:
      "Ablation of the three phases: conventional training, everything with the GAN from the middle on, for as many updates at " +
      "low resolution as the three phases make together.",
    model: SMALL_F32,
    perceptual: "none",
    data: SCENES,
    phases: [
      {
        ...(smallPhases[0] as Phase),
        name: "all",
        steps: SMALL.steps * 1.5,
        gan: { width: 32, start: SMALL.steps * 0.75, optimizer: (smallPhases[2] as Phase).optimizer },
      },
    ],
  },
  {
    name: "small-f32-scenes-narrow",
    about: "small-f32-scenes with the narrow sets of layers in phases 2 and 3: projections only.",
    model: SMALL_F32,
    perceptual: "none",
    data: SCENES,
    phases: threePhases({ ...SMALL, stages: 0 }),
  },
  ...(["f32c32", "f64c128", "f128c512"] as const).map(
    (model): TrainingConfigInput => ({
      name: `${model}-imagenet`,
      about: `The published ${model} architecture on ImageNet, from scratch, with L1 and LPIPS and in phase 3 the GAN.`,
      model: `dc-ae-${model}-in-1.0`,
      data: IMAGENET,
      validation: IMAGENET_VAL,
      phases: threePhases(FULL),
    }),
  ),
  {
    name: "f32c32-imagenet-narrow",
    about: "f32c32-imagenet with the narrow sets of layers in phases 2 and 3.",
    model: "dc-ae-f32c32-in-1.0",
    data: IMAGENET,
    validation: IMAGENET_VAL,
    phases: threePhases({ ...FULL, stages: 0 }),
  },
  {
    name: "finetune-decoder-f32c32",
    about: "Fine-tunes the decoder of the released f32c32 model on a folder of pictures; latents stay as they are.",
    model: "dc-ae-f32c32-in-1.0",
    init: "mit-han-lab/dc-ae-f32c32-in-1.0",
    data: { sources: [{ kind: "folder", path: "data/pictures" }] },
    phases: [
      {
        name: "decoder",
        trains: { kind: "names", names: ["decoder"] },
        size: 256,
        batch: 4,
        accumulate: 4,
        steps: 20_000,
        optimizer: adamW(1.6e-5, 500, { clipNorm: 1 }),
        recompute: true,
      },
    ],
  },
];

/** All recipes, checked. */
export const TRAINING_RECIPES: readonly TrainingConfig[] = inputs.map((input) =>
  parseTrainingConfig({ ...input, command: `dcae train --config ${input.name}` }, input.name),
);

/** The recipe of that name. @throws ConfigError that lists the names */
export function trainingRecipe(name: string): TrainingConfig {
  const recipe = TRAINING_RECIPES.find((candidate) => candidate.name === name);
  if (recipe !== undefined) return recipe;
  throw new ConfigError(`there is no training named "${name}"`, {
    hint: `There are ${TRAINING_RECIPES.map((candidate) => candidate.name).join(", ")}; or name a JSON file.`,
  });
}

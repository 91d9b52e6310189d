/** A training of seconds: a small f4 autoencoder on scenes of 16x16. */
import { parseTrainingConfig, type TrainingConfig, type TrainingConfigInput } from "../../src/configs/schema.js";

const optimizer = (lr: number) => ({ schedule: { kind: "constant" as const, lr }, clipNorm: 1 });

export const TINY_MODEL = {
  latentChannels: 4,
  encoder: { widthList: [4, 8, 8], depthList: [0, 1, 1] },
  decoder: { widthList: [4, 8, 8], depthList: [0, 1, 1], norm: ["trms2d", "bn2d", "trms2d"] },
};

/** Such a model whose latents may have fewer channels (DC-AE 1.5). */
export const ADAPTIVE_MODEL = {
  latentChannels: 4,
  encoder: {
    ...{ widthList: [4, 8], depthList: [0, 1] },
    ...{ outBlockType: "AdaptiveOutputConvLayer", outShortcut: null },
  },
  decoder: {
    ...{ widthList: [4, 8], depthList: [0, 1] },
    ...{ inBlockType: "AdaptiveInputConvLayer", inShortcut: null },
  },
};

type PhaseInput = TrainingConfigInput["phases"][number];

export const TINY_PHASES = {
  one: {
    name: "phase1",
    trains: { kind: "phase", phase: 1 },
    size: 16,
    batch: 2,
    steps: 6,
    optimizer: optimizer(2e-3),
    ema: { decay: 0.9, warmupSteps: 4 },
    checkpointEvery: 2,
    keep: 2,
    evaluateEvery: 3,
  },
  two: {
    name: "phase2",
    trains: { kind: "phase", phase: 2 },
    size: 32,
    batch: 1,
    accumulate: 2,
    steps: 3,
    optimizer: optimizer(1e-3),
  },
  three: {
    name: "phase3",
    trains: { kind: "phase", phase: 3 },
    size: 32,
    batch: 2,
    steps: 4,
    optimizer: optimizer(1e-3),
    gan: { width: 4, layers: 2, optimizer: optimizer(1e-3) },
  },
} as const satisfies Record<string, PhaseInput>;

const SHORT = { size: 16, batch: 1, steps: 2, evaluateEvery: 2 };

/** The three phases, each with another rule by which counts of channels are drawn. */
export const CHANNEL_PHASES: readonly PhaseInput[] = [
  { ...TINY_PHASES.one, ...SHORT, channels: { counts: [1, 2, 4] } },
  { ...TINY_PHASES.two, ...SHORT, channels: { counts: [1, 2, 4], draw: 2, always: "largest" } },
  {
    ...{ ...TINY_PHASES.three, ...SHORT, channels: { counts: [1, 4], draw: 2 } },
    gan: { ...TINY_PHASES.three.gan, layers: 1 },
  },
];

/** A phase with everything switched on that phases may have: all of it must survive a stop. */
export const TINY_EVERYTHING = {
  ...TINY_PHASES.three,
  name: "everything",
  sizes: [
    { size: 16, share: 1 },
    { size: 32, share: 1 },
  ],
  steps: 4,
  optimizer: {
    ...optimizer(1e-3),
    weightDecay: 0.1,
    noDecay: ["*bias"],
    groups: [
      {
        name: "head",
        parameters: ["decoder.project_out"],
        kind: "lion",
        schedule: { kind: "cosine", lr: 1e-3 },
        weightDecay: 0.3,
      },
    ],
  },
  ema: { decay: 0.9, warmupSteps: 4, others: [{ decay: 0.5, warmupSteps: 0 }] },
  gan: {
    ...TINY_PHASES.three.gan,
    augment: ["color", "translation", "cutout"],
    optimizer: {
      ...optimizer(1e-3),
      groups: [{ ...optimizer(1e-3), name: "norms", parameters: ["discriminator.main.3"], kind: "came" }],
    },
  },
  checkpointEvery: 2,
  keep: 2,
  evaluateEvery: 2,
} as const satisfies PhaseInput;

export function tinyTraining(
  phases: readonly PhaseInput[] = Object.values(TINY_PHASES),
  more: Partial<TrainingConfigInput> = {},
): TrainingConfig {
  return parseTrainingConfig({
    name: "tiny",
    about: "for tests",
    model: TINY_MODEL,
    perceptual: "none",
    data: { sources: [{ kind: "scenes", count: 9 }], workers: 0, flip: true },
    validation: { count: 2 },
    phases,
    ...more,
  });
}

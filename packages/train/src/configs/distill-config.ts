/** Distillation as a training: a teacher, a student whose latents are to be the teacher's, pictures. */
import {
  checkpointFormats,
  type DcAeConfig,
  type ModelDescription,
  type ModelPartName,
  toModelConfigFile,
} from "@dcae/core/models";
import {
  type CheckpointSource,
  parseTrainingConfig,
  placeOfCheckpoint,
  type TrainingConfig,
  type TrainingConfigInput,
} from "./schema.js";

/** What a student learns, from which teacher, on which pictures. */
export interface DistillOptions {
  readonly name: string;
  /** The teacher's checkpoint, and what it is (any family; it needs an encoder). */
  readonly teacher: { readonly init: CheckpointSource; readonly model: ModelDescription };
  /** A DC-AE with latents of the same form. Halves that are the teacher's own are taken over and stay. */
  readonly student: string | DcAeConfig;
  /** What of the student trains. Default: what it doesn't have in common with the teacher. */
  readonly trains: readonly ModelPartName[];
  readonly data: TrainingConfigInput["data"];
  readonly perceptual?: TrainingConfigInput["perceptual"];
  /** Side of the pictures. Default 256. */
  readonly size?: number | undefined;
  /** Pictures per batch. Default 8. */
  readonly batch?: number | undefined;
  /** Batches per update. Default 1. */
  readonly accumulate?: number | undefined;
  /** Updates. Default 20000. */
  readonly steps?: number | undefined;
  /** Highest learning rate. Default 5e-4. */
  readonly lr?: number | undefined;
  /** Weight of the latents' error. Default 1. */
  readonly latentWeight?: number | undefined;
  /** Weight of the difference to the teacher's decodes. Default 0: the pictures alone are the target. */
  readonly decodesWeight?: number | undefined;
  /** The scaling factor that the student's latents are to have. Default: the teacher's. */
  readonly scalingFactor?: number | undefined;
  /** A second phase of a fifth of the updates, in which the decoder's head trains with the adversarial loss. Default false. */
  readonly gan?: boolean | undefined;
}

/** Evaluations and checkpoints: twenty in all, but not further apart than this. */
const MAX_INTERVAL = 1000;

/**
 * The training. There is no published recipe of such models: warm-up, a constant rate for 60 % of the updates, then half a cosine to 0 are
 * this project's choice, as for its own small model.
 *
 * @throws ConfigError naming what is wrong
 */
export function distillConfig(options: DistillOptions): TrainingConfig {
  const { name, teacher, student, trains, data, perceptual, scalingFactor, gan = false } = options;
  const { size = 256, batch = 8, accumulate = 1, steps = 20_000, lr = 5e-4 } = options;
  const { latentWeight = 1, decodesWeight = 0 } = options;
  const { model: source } = placeOfCheckpoint(teacher.init);
  const interval = Math.min(MAX_INTERVAL, Math.ceil(steps / 20));
  const warm = { lr, warmupLr: lr / 10, warmupSteps: "5%" };
  const input: TrainingConfigInput = {
    name,
    about: `Learns the latents of ${source}: trains the ${trains.join(" and the ")}.`,
    model: typeof student === "string" ? student : { ...student },
    teacher: {
      init: teacher.init,
      config: toModelConfigFile(teacher.model, checkpointFormats(teacher.model.kind)[0] ?? "official"),
      latentWeight,
      decodesWeight,
      ...(scalingFactor === undefined ? {} : { scalingFactor }),
    },
    data,
    ...(perceptual === undefined ? {} : { perceptual }),
    phases: [
      {
        name: "distill",
        trains: { kind: "names", names: [...trains] },
        ...{ size, batch, accumulate, steps },
        optimizer: {
          schedule: { kind: "warmup-stable-decay", ...warm, stableSteps: "60%" },
          ...{ weightDecay: 0.1, clipNorm: 1 },
        },
        ...{ checkpointEvery: interval, evaluateEvery: interval },
      },
      ...(gan ? [headPhase(options, interval)] : []),
    ],
  };
  return parseTrainingConfig(input, "distillation");
}

/** Phase 3 of the paper, at the rate where phase 1 begins to fall. */
function headPhase(options: DistillOptions, interval: number): TrainingConfigInput["phases"][number] {
  const { size = 256, batch = 8, accumulate = 1, steps = 20_000, lr = 5e-4 } = options;
  const schedule = { kind: "constant" as const, lr: lr / 10 };
  const betas: [number, number] = [0.5, 0.9];
  return {
    name: "head",
    trains: { kind: "phase", phase: 3 },
    ...{ size, batch, accumulate, steps: Math.ceil(steps / 5) },
    optimizer: { schedule, betas, clipNorm: 1 },
    gan: { optimizer: { schedule, betas } },
    ...{ checkpointEvery: interval, evaluateEvery: interval },
  };
}

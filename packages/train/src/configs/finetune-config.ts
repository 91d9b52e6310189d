/** Fine-tuning as a training of one phase: a released checkpoint, names of what trains, pictures. */
import { type DcAeConfig, modelParameters } from "@dcae/core/models";
import { parseTrainingConfig, placeOfCheckpoint, type TrainingConfig, type TrainingConfigInput } from "./schema.js";

/** What to fine-tune, on which pictures, for how long. */
export interface FinetuneOptions {
  readonly name: string;
  /** Checkpoint to start from, and what it is: a published model's name or its configuration. */
  readonly init: NonNullable<TrainingConfigInput["init"]>;
  readonly model: string | DcAeConfig;
  readonly architecture: DcAeConfig;
  /** Places of official names, "*" for anything. Default: the decoder, which leaves latents as they are. */
  readonly trains?: readonly string[] | undefined;
  readonly data: TrainingConfigInput["data"];
  readonly perceptual?: TrainingConfigInput["perceptual"];
  /** Side of the pictures. Default 256. */
  readonly size?: number | undefined;
  /** Pictures per batch. Default 4. */
  readonly batch?: number | undefined;
  /** Batches per update. Default 4. */
  readonly accumulate?: number | undefined;
  /** Updates. Default 5000. */
  readonly steps?: number | undefined;
  /** Learning rate after the warm-up. Default 1.6e-5, the published one of phase 2 (training.md section 2). */
  readonly lr?: number | undefined;
  /** Adds the adversarial loss as phase 3 has it. Default false. */
  readonly gan?: boolean | undefined;
}

/** Models of more parameters than this compute activations again: their memory is what limits training. */
const LARGE = 50_000_000;

/** Warm-up: a twentieth of the updates, at most this many. */
const MAX_WARMUP = 500;
/** Evaluations and checkpoints: ten in all, but not further apart than this. */
const MAX_INTERVAL = 1000;

/**
 * The training; what isn't published is this project's choice: batch, updates, warm-up, and clipping at 1, which keeps a trained
 * model near where it is while moments are still those of few updates.
 *
 * @throws ConfigError naming what is wrong
 */
export function finetuneConfig(options: FinetuneOptions): TrainingConfig {
  const {
    trains = ["decoder"],
    size = 256,
    batch = 4,
    accumulate = 4,
    steps = 5000,
    lr = 1.6e-5,
    gan = false,
  } = options;
  const { name, init, model, architecture, data, perceptual } = options;
  const warmupSteps = Math.min(MAX_WARMUP, Math.ceil(steps / 20));
  const schedule = { kind: "constant-warmup" as const, lr, warmupLr: lr / 10, warmupSteps };
  const interval = Math.min(MAX_INTERVAL, Math.ceil(steps / 10));
  const parameters = modelParameters({ kind: "dc-ae", config: architecture });
  const count = parameters.reduce((sum, { shape }) => sum + shape.reduce((product, side) => product * side, 1), 0);
  const betas: [number, number] = [0.5, 0.9];
  const input: TrainingConfigInput = {
    name,
    about: `Fine-tunes ${trains.join(", ")} of ${placeOfCheckpoint(init).model}.`,
    model: typeof model === "string" ? model : { ...model },
    init,
    data,
    ...(perceptual === undefined ? {} : { perceptual }),
    phases: [
      {
        name: "finetune",
        trains: { kind: "names", names: [...trains] },
        size,
        batch,
        accumulate,
        steps,
        optimizer: { schedule, clipNorm: 1, ...(gan ? { betas } : {}) },
        ...(gan ? { gan: { optimizer: { schedule, betas } } } : {}),
        recompute: count > LARGE,
        checkpointEvery: interval,
        evaluateEvery: interval,
      },
    ],
  };
  return parseTrainingConfig(input, "fine-tuning");
}

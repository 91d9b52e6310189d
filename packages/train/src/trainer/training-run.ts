/** What the trainings of autoencoders and of diffusion models have in common: how they are started, and the file that says as what. */
import { join } from "node:path";
import { writeFileAtomic } from "@dcae/core/checkpoint";
import type { Engine } from "@dcae/core/runtime";

export interface TrainingRunOptions {
  /** Where the run is kept. */
  readonly directory: string;
  readonly engine: Engine;
  /** See `FitOptions`. */
  readonly computedBy?: string | undefined;
  /** Go on with what the folder holds (default); otherwise folders with checkpoints are refused. */
  readonly resume?: boolean;
  /** Stops after the current update, with a checkpoint. */
  readonly signal?: AbortSignal | undefined;
  /** Hears what a user should know. */
  readonly onMessage?: ((text: string) => void) | undefined;
}

/** Where a folder of runs keeps the configuration that they were started with. */
export function trainingFile(directory: string): string {
  return join(directory, "training.json");
}

/** @throws DataError when it can't be written */
export function writeTrainingFile(directory: string, config: object): Promise<void> {
  const text = `${JSON.stringify(config, undefined, 2)}\n`;
  return writeFileAtomic(trainingFile(directory), (file) => file.write(new TextEncoder().encode(text)));
}

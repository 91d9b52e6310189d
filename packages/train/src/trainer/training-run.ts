/** What all trainings have in common: how they are started and stopped, how they fail, and the file that says as what they were started. */
import { join } from "node:path";
import { writeFileAtomic } from "@dcae/core/checkpoint";
import { DcaeError, type DcaeErrorOptions } from "@dcae/core/graph";
import type { Communicator } from "@dcae/core/internal";
import type { Engine } from "@dcae/core/runtime";

export interface TrainingRunOptions {
  /** Where the run is kept. */
  readonly directory: string;
  readonly engine: Engine;
  /** See `FitOptions`. */
  readonly computedBy?: string | undefined;
  /**
   * The ranks that train together (`openMpi`), each of which calls this with the same configuration. Batches are those of all: each rank
   * takes as many rows of every one. The first rank writes the run's folder, and evaluates. Default: this process alone.
   */
  readonly ranks?: Communicator | undefined;
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

/** Training diverged: a loss, a gradient or a weight is NaN or infinite. The last good checkpoint is left as it was. */
export class TrainingError extends DcaeError {
  override readonly name: string = "TrainingError";
  /** The update that failed, from 1. */
  readonly step: number;

  constructor(message: string, step: number, options: DcaeErrorOptions = {}) {
    super(message, options);
    this.step = step;
  }
}

/** A signal that Ctrl-C and SIGTERM give. */
export interface StopSignals {
  readonly signal: AbortSignal;
  /** Lets signals work as before. */
  dispose(): void;
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Ctrl-C, SIGTERM and SIGHUP (a terminal that closes) as a wish to stop: the run finishes its update and saves. A second signal ends
 * the process at once.
 *
 * @param onSignal hears of the first signal
 */
export function stopSignals(onSignal: (name: NodeJS.Signals) => void = () => undefined): StopSignals {
  const controller = new AbortController();
  const handle = (name: NodeJS.Signals) => {
    // Without a handler the next signal has its usual effect.
    dispose();
    onSignal(name);
    controller.abort(name);
  };
  const dispose = () => {
    for (const name of SIGNALS) process.off(name, handle);
  };
  for (const name of SIGNALS) process.on(name, handle);
  return { signal: controller.signal, dispose };
}

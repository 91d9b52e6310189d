/** What the training loop takes from the data. */
import type { NamedTensors } from "@dcae/core/runtime";

/** What one batch gives to an update. */
export interface TrainingBatch {
  readonly inputs: NamedTensors;
  /** Pictures in it, for the speed. */
  readonly images: number;
  /** Where the next batch starts, as JSON. */
  readonly position: unknown;
}

/** Gives batches in order, without end. */
export interface TrainingBatches {
  next(): Promise<TrainingBatch>;
  close(): Promise<void>;
}

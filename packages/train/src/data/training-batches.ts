/** What the training loop takes from the data. */
import type { NamedTensors } from "@dcae/core/runtime";

export interface TrainingBatch {
  readonly inputs: NamedTensors;
  /** Pictures in it, for the speed. */
  readonly images: number;
  /** Where the next batch starts, as JSON. */
  readonly position: unknown;
}

export interface TrainingBatches {
  next(): Promise<TrainingBatch>;
  close(): Promise<void>;
}

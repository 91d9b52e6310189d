/** A run that can't go on. */
import { DcaeError, type DcaeErrorOptions } from "@dcae/core/graph";

/** Training diverged: a loss, a gradient or a weight is NaN or infinite. The last good checkpoint is left as it was. */
export class TrainingError extends DcaeError {
  /** The update that failed, from 1. */
  readonly step: number;

  constructor(message: string, step: number, options: DcaeErrorOptions = {}) {
    super(message, options);
    this.step = step;
  }
}

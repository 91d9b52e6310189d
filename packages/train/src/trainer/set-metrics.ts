/**
 * Numbers about a whole set of pictures, such as rFID, which something beside the trainer computes at each evaluation: their networks
 * and statistics are no part of training. `openSetMetrics` of `@dcae/eval` makes them.
 */
import { ConfigError } from "@dcae/core/graph";
import type { Image } from "@dcae/core/image";
import type { Better } from "./fit.js";

/** Pictures that belong together. */
export interface PictureSet {
  add(pictures: readonly Image[]): Promise<void>;
}

export interface SetMetrics {
  /** Names of the metrics as they stand in the log, and which way each is better. */
  readonly better: Readonly<Record<string, Better>>;
  /** An empty set. */
  collect(): PictureSet;
  /**
   * The metrics of pictures that a model made.
   *
   * @param originals what it made them from; samples have none
   */
  compare(made: PictureSet, originals?: PictureSet): Promise<Readonly<Record<string, number>>>;
  close(): Promise<void>;
}

/**
 * Opens what `evaluate` of a training names.
 *
 * @param names as in the training
 * @param size side of the pictures
 */
export type OpenSetMetrics = (names: readonly string[], size: number) => Promise<SetMetrics>;

/**
 * The metrics of a training; undefined where it names none.
 *
 * @throws ConfigError where it names some and nothing computes them
 */
export async function setMetricsOf(
  names: readonly string[],
  open: OpenSetMetrics | undefined,
  size: number,
): Promise<SetMetrics | undefined> {
  if (names.length === 0) return undefined;
  if (open !== undefined) return open(names, size);
  throw new ConfigError(`evaluate: nothing here computes ${names.join(", ")}`, {
    hint: "Pass `openSetMetrics`, made with that of @dcae/eval, or leave `evaluate` empty.",
  });
}

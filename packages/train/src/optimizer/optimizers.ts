/**
 * The methods of optimization, by the name that configurations and the state of a training know them by (`adamw.<optimizer>.m.<p>`).
 *
 * A new method is a file and its row here: configurations take its settings, and every training its name.
 */
import type { z } from "zod";
import { adamW } from "./adam-w.js";
import { came } from "./came.js";
import type { Schedule } from "./schedule.js";

export const OPTIMIZERS = { adamw: adamW, came } as const;

export type OptimizerKind = keyof typeof OPTIMIZERS;

/** The settings of each method beside those that all share; those with a default may be left out. */
export type OptimizerSettings = {
  readonly [K in OptimizerKind]: z.input<z.ZodObject<(typeof OPTIMIZERS)[K]["settings"]>>;
};

/** Parameters whose name contains one of these don't decay (official trainer). */
export const NO_DECAY: readonly string[] = ["norm.weight", "bias"];

export interface CommonOptimizerOptions {
  readonly schedule: Schedule;
  /** Default 0. */
  readonly weightDecay?: number;
  /** Parts of names that exempt from decay. Default `NO_DECAY`. */
  readonly noDecay?: readonly string[] | undefined;
  /** Largest norm over all gradients; null (default) doesn't clip. */
  readonly clipNorm?: number | null;
}

/** How weights are updated: a method with its settings, and what all methods share. */
export type MethodOptions = {
  [K in OptimizerKind]: CommonOptimizerOptions & { readonly kind: K } & Readonly<OptimizerSettings[K]>;
}[OptimizerKind];

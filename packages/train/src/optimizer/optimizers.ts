/**
 * The methods of optimization, by the name that configurations and the state of a training know them by (`adamw.<optimizer>.m.<p>`).
 *
 * A new method is a file and its row here: configurations take its settings, and every training its name.
 */
import type { z } from "zod";
import { adamW } from "./adam-w.js";
import { came } from "./came.js";
import { lion } from "./lion.js";
import type { Schedule } from "./schedule.js";

export const OPTIMIZERS = { adamw: adamW, came, lion } as const;

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
  /** Parts of names that exempt from decay, "*" for anything within. Default `NO_DECAY`. */
  readonly noDecay?: readonly string[] | undefined;
  /** Largest norm over all gradients; null (default) doesn't clip. */
  readonly clipNorm?: number | null;
}

/** How weights are updated: a method with its settings, and what all methods share. */
export type MethodOptions = {
  [K in OptimizerKind]: CommonOptimizerOptions & { readonly kind: K } & Readonly<OptimizerSettings[K]>;
}[OptimizerKind];

/** Parameters with a method, rate, decay and clipping of their own. */
export type ParameterGroup = MethodOptions & {
  /** Names its state and its metrics. */
  readonly name: string;
  /** Places of official names, "*" for anything (see `namePatterns`). */
  readonly parameters: readonly string[];
};

/** What the parameter `name` loses per update, as a share of its learning rate. */
export function weightDecayOf({ weightDecay = 0, noDecay = NO_DECAY }: CommonOptimizerOptions, name: string): number {
  return noDecay.some((part) => containsPart(name, part)) ? 0 : weightDecay;
}

/** The pieces between the "*" in this order, anywhere in the name. */
function containsPart(name: string, part: string): boolean {
  let from = 0;
  for (const piece of part.split("*")) {
    const at = name.indexOf(piece, from);
    if (at === -1) return false;
    from = at + piece.length;
  }
  return true;
}

/** The table of composites; a missing row doesn't compile. */
import type { ValueOf } from "../value.js";
import { gelu, leakyRelu, silu } from "./activations.js";
import { linearAttention, softmaxAttention } from "./attention.js";
import type { CompositeName, CompositeRow } from "./composite-row.js";
import { groupNorm, layerNorm, rmsNorm } from "./norms.js";
import { averagingShortcut, duplicatingShortcut } from "./shortcuts.js";

export const composites: { readonly [K in CompositeName]: CompositeRow<K> } = {
  silu,
  leakyRelu,
  gelu,
  rmsNorm,
  layerNorm,
  groupNorm,
  averagingShortcut,
  duplicatingShortcut,
  linearAttention,
  softmaxAttention,
};

export const COMPOSITE_NAMES = Object.keys(composites) as readonly CompositeName[];

/** The row of a composite. It fits the value by construction; TypeScript can't correlate the two unions. */
export function compositeRow(value: ValueOf<"composite">): CompositeRow<CompositeName> {
  return composites[value.attributes.name] as unknown as CompositeRow<CompositeName>;
}

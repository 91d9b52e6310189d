/**
 * How the pixels of a picture flow from one value of a graph to another: where they lie in every value between, and how many
 * sums over all pixels come before it.
 *
 * A value behind a sum can be computed in tiles only when all tiles have contributed to the sum; `level` counts such sums.
 */

import { cutsOf } from "../analyze.js";
import { isStaticShape } from "../dim.js";
import { dependents, topologicalOrder } from "../traverse.js";
import type { Value } from "../value.js";
import type { Grid, PixelLayout } from "./pixel-layout.js";
import { ruleOf } from "./tile-rules.js";

export interface PixelFlow {
  readonly source: Value;
  readonly target: Value;
  /** What depends on the source, inputs first; the source is the first, the target the last. */
  readonly values: readonly Value[];
  has(value: Value): boolean;
  /** "none" for values that don't depend on the source. */
  layout(value: Value): PixelLayout;
  /** Sums over pixels on the longest way from the source. */
  level(value: Value): number;
}

const NONE: PixelLayout = { kind: "none" };

/** What depends on `source` on the way to `target`, inputs first, both included; empty if the target doesn't. */
export function valuesBetween(source: Value, target: Value): Value[] {
  const found = dependents(topologicalOrder([target]), (value) => value === source);
  return found.has(target) ? [...found] : [];
}

/** Undefined where a value between the two can't be computed in tiles, or depends on other inputs of the program. */
export function pixelFlow(source: Value, target: Value): PixelFlow | undefined {
  if (source.shape.length !== 4 || !isStaticShape(source.shape)) return undefined;
  const values = valuesBetween(source, target);
  if (values.length === 0) return undefined;
  const foreign = dependsOnOtherInputs(source, target);
  const grid = source.shape.slice(2) as unknown as Grid;
  const layouts = new Map<Value, PixelLayout>([[source, { kind: "picture", grid }]]);
  const levels = new Map<Value, number>([[source, 0]]);
  for (const value of values.slice(1)) {
    const layout = value.inputs.some((operand) => foreign.has(operand)) ? undefined : layoutOf(value, layouts);
    if (layout === undefined) return undefined;
    const before = Math.max(...value.inputs.map((operand) => levels.get(operand) ?? 0));
    layouts.set(value, layout);
    levels.set(value, layout.kind === "sum" ? before + 1 : before);
  }
  return {
    source,
    target,
    values,
    has: (value) => layouts.has(value),
    layout: (value) => layouts.get(value) ?? NONE,
    level: (value) => levels.get(value) ?? 0,
  };
}

/** What depends on inputs of the program, but not on the source. */
function dependsOnOtherInputs(source: Value, target: Value): ReadonlySet<Value> {
  const order = topologicalOrder([target]);
  const behind = dependents(order, (value) => value === source);
  return dependents(
    order.filter((value) => !behind.has(value)),
    ({ op }) => op === "input",
  );
}

function layoutOf(value: Value, layouts: ReadonlyMap<Value, PixelLayout>): PixelLayout | undefined {
  if (!isStaticShape(value.shape)) return undefined;
  const inputs = value.inputs.map((operand) => layouts.get(operand) ?? NONE);
  // What is computed from sums alone is small, and the same for every tile.
  if (inputs.every(({ kind }) => kind === "none" || kind === "sum")) return NONE;
  return ruleOf(value)?.layout(value as never, inputs);
}

/** Values of rank 4 that every way from `source` to `target` passes through, both ends included. */
export function cutValues({ source, target, values }: Pick<PixelFlow, "source" | "target" | "values">): Value[] {
  return cutsOf(values).filter((value) => value.shape.length === 4 || value === source || value === target);
}

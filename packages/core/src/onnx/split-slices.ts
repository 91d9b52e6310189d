/**
 * Slices that cut one value into consecutive parts, found so that they become one ONNX Split.
 *
 * The graph has slices only, since its ops have one result each. The runtime joins some of them by itself, but not those it
 * evaluates when it loads a model: there every slice costs a copy of the whole value (64 slices of 64 MB took seconds).
 */
import type { Value, ValueOf } from "../graph/value.js";

export interface Split {
  readonly source: Value;
  readonly axis: number;
  /** The parts from first to last. */
  readonly parts: readonly Value[];
}

interface Part {
  readonly value: ValueOf<"slice">;
  readonly start: number;
  readonly stop: number;
}

/** The axis and range of a slice along one axis without gaps. */
function partOf(value: ValueOf<"slice">): { readonly axis: number; readonly part: Part } | undefined {
  const { axes, starts, stops, steps } = value.attributes;
  const [axis, start, stop] = [axes[0], starts[0], stops[0]];
  if (axes.length !== 1 || steps[0] !== 1 || axis === undefined || start === undefined || stop === undefined) return;
  return { axis, part: { value, start, stop } };
}

/** Each slice that belongs to a split, with its split. Values are those of a program, inputs before users. */
export function findSplits(values: readonly Value[]): Map<Value, Split> {
  const bySource = new Map<Value, Map<number, Part[]>>();
  for (const value of values) {
    if (value.op !== "slice") continue;
    const found = partOf(value);
    if (found === undefined) continue;
    const axes = bySource.get(value.inputs[0]) ?? new Map<number, Part[]>();
    bySource.set(value.inputs[0], axes);
    axes.set(found.axis, [...(axes.get(found.axis) ?? []), found.part]);
  }
  const splits = new Map<Value, Split>();
  for (const [source, axes] of bySource) {
    for (const [axis, parts] of axes) {
      parts.sort((a, b) => a.start - b.start);
      const bounds = [0, ...parts.map(({ stop }) => stop)];
      const whole = bounds.at(-1) === source.shape[axis] && parts.every(({ start }, i) => start === bounds[i]);
      if (!whole || parts.length < 2) continue;
      const split: Split = { source, axis, parts: parts.map(({ value }) => value as Value) };
      for (const part of split.parts) splits.set(part, split);
    }
  }
  return splits;
}

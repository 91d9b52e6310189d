/**
 * Gradients of slices of one value, put together.
 *
 * A value that was split gets a gradient per part. Each on its own is the part amid zeros, and these are added up; parts that
 * cover the axis are simply joined again.
 */
import { add, concat, type Value, type ValueOf } from "@dcae/core/graph";
import { unslice } from "./scatter.js";

/** The gradient of a contiguous range of one axis. */
export interface SliceGradient {
  readonly axis: number;
  readonly start: number;
  readonly gradient: Value;
}

/** The range that a slice takes, if it is one of a single axis without steps. */
export function singleRange({ attributes }: ValueOf<"slice">, gradient: Value): SliceGradient | undefined {
  const { axes, starts, steps } = attributes;
  const [axis, start] = [axes[0], starts[0]];
  if (axes.length !== 1 || steps[0] !== 1 || axis === undefined || start === undefined) return undefined;
  return { axis, start, gradient };
}

/** The gradient of `value` from those of slices of it. */
export function joinSlices(value: Value, slices: readonly SliceGradient[]): Value {
  const [{ axis }] = slices as readonly [SliceGradient];
  const size = value.shape[axis] as number;
  const ordered = slices.every((slice) => slice.axis === axis)
    ? [...slices].sort((a, b) => a.start - b.start)
    : undefined;
  const ends = ordered?.map(({ start, gradient }) => start + (gradient.shape[axis] as number));
  const covers = ordered?.every(({ start }, i) => start === (i === 0 ? 0 : ends?.[i - 1])) && ends?.at(-1) === size;
  if (ordered !== undefined && covers) {
    return concat(
      ordered.map(({ gradient }) => gradient),
      axis,
    );
  }
  return slices
    .map((slice) =>
      unslice(slice.gradient, [
        { axis: slice.axis, start: slice.start, step: 1, size: value.shape[slice.axis] as number },
      ]),
    )
    .reduce((sum, gradient) => add(sum, gradient));
}

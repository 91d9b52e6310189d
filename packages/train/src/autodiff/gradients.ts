/**
 * Reverse-mode differentiation, graph to graph.
 *
 * The backward pass visits values in reverse topological order, adds up the gradients that arrive at each, and asks the op's
 * row in the table for those of its inputs. Only values that `wrt` reaches are visited: a frozen layer in front of everything
 * that is trained costs nothing. The results are ordinary values, so they can be differentiated again.
 */
import {
  add,
  compositeRow,
  concat,
  dtypeKind,
  expand,
  type OpName,
  ShapeError,
  scalar,
  shapeEqual,
  shapeToString,
  topologicalOrder,
  type Value,
  type ValueOf,
} from "@dcae/core/graph";
import { unslice } from "./adjoints.js";
import type { GradientForms, GradientRule, InputGradient } from "./gradient-rule.js";
import { elementwiseGradients } from "./rules/elementwise.js";
import { layoutGradients } from "./rules/layout.js";
import { spatialGradients } from "./rules/spatial.js";

/** A row per op; a missing one doesn't compile. */
const rules: { readonly [K in OpName]: GradientRule<K> } = {
  ...elementwiseGradients,
  ...layoutGradients,
  ...spatialGradients,
  // Rounding to a grid is constant almost everywhere.
  quantizeLinear: null,
  dequantizeLinear: null,
  qlinearConv2d: null,
  // As a whole where its row has a gradient (`wholeGradient`), otherwise that of its body.
  composite: (_, dy) => [() => dy],
};

/** Ops without a derivative: no gradient flows through them. */
export const NON_DIFFERENTIABLE = (Object.keys(rules) as OpName[]).filter((op) => rules[op] === null);

/** Options of `gradients`. */
export interface GradientOptions {
  /** Values that count as constants: no gradient flows through them. */
  readonly constants?: readonly Value[];
  /** Default: those that run on every engine. */
  readonly forms?: GradientForms;
  /**
   * Gives the value that stands for a forward value in the backward pass; called once per visited value, in reverse order, with
   * the gradient that arrived there and all gradients collected so far. Recomputation (recomputation.ts) hooks in here.
   */
  readonly replay?: (value: Value, dy: Value, collected: ReadonlyMap<Value, Value>) => Value;
}

const PORTABLE: GradientForms = { depthwise: "taps", input: "transposed", compositions: "by-op" };

/**
 * d loss / d each of `wrt`, in their shapes; zeros where the loss doesn't depend on one.
 *
 * @throws ShapeError when the loss isn't a floating-point scalar
 * @example
 * ```ts
 * import { createProgram, input, reduceMean, square } from "@dcae/core/graph";
 * import { gradients } from "@dcae/train/step";
 *
 * const x = input("x", [4], "float32");
 * const [dx] = gradients(reduceMean(square(x)), [x]); // x / 2
 * if (dx !== undefined) console.log(createProgram("gradient", { dx }).outputs.size); // 1
 * ```
 */
export function gradients(loss: Value, wrt: readonly Value[], options: GradientOptions = {}): Value[] {
  if (loss.shape.length !== 0 || dtypeKind(loss.dtype) !== "float") {
    throw new ShapeError(`gradients: the loss must be a float scalar, got ${shapeToString(loss.shape)} ${loss.dtype}`);
  }
  return backpropagate([{ value: loss, gradient: scalar(1, loss.dtype) }], wrt, options);
}

/** A value, and the gradient of some loss with respect to it. */
export interface Seed {
  readonly value: Value;
  readonly gradient: Value;
}

/**
 * The gradients of `wrt` that follow from those of `seeds` (a vector-Jacobian product).
 *
 * @throws ShapeError when a seed's gradient has another shape or dtype than its value
 */
export function backpropagate(
  seeds: readonly Seed[],
  wrt: readonly Value[],
  { constants = [], forms = PORTABLE, replay = (value) => value }: GradientOptions = {},
): Value[] {
  const stopped = new Set(constants);
  const whole = forms.compositions === "whole";
  /** The gradients of a composite's inputs by its row; undefined where its body is differentiated instead. */
  const wholeGradient = (value: Value, dy: Value): readonly InputGradient[] | undefined =>
    whole && value.op === "composite" ? compositeRow(value).gradient?.(value as never, dy) : undefined;
  const operandsOf = (value: Value): readonly Value[] =>
    value.op === "composite" && wholeGradient(value, value) === undefined
      ? [value.attributes.body.result]
      : value.inputs;
  const order = topologicalOrder(
    seeds.map(({ value }) => value),
    () => false,
    operandsOf,
  );
  const active = new Set<Value>(wrt);
  for (const value of order) {
    if (rules[value.op] !== null && !stopped.has(value) && operandsOf(value).some((operand) => active.has(operand))) {
      active.add(value);
    }
  }
  const collected = new Map<Value, Value>();
  const slices = new Map<Value, SliceGradient[]>();
  const accumulate = (value: Value, gradient: Value) => {
    const known = collected.get(value);
    collected.set(value, known === undefined ? gradient : add(known, gradient));
  };
  /** The gradient of `value`, to which nothing is added any more. */
  const settled = (value: Value): Value | undefined => {
    const parts = slices.get(value);
    if (parts !== undefined) accumulate(value, joinSlices(value, parts));
    slices.delete(value);
    return collected.get(value);
  };
  for (const { value, gradient } of seeds) {
    if (!shapeEqual(value.shape, gradient.shape) || value.dtype !== gradient.dtype) {
      throw new ShapeError(
        `backpropagate: ${shapeToString(gradient.shape)} ${gradient.dtype} isn't a gradient of ` +
          `${shapeToString(value.shape)} ${value.dtype}`,
      );
    }
    if (active.has(value)) accumulate(value, gradient);
  }
  for (const value of order.reverse()) {
    const dy = settled(value);
    if (dy === undefined || !active.has(value) || stopped.has(value)) continue;
    const operands = operandsOf(value);
    if (!operands.some((operand) => active.has(operand))) continue;
    const range = whole && value.op === "slice" ? singleRange(value, dy) : undefined;
    if (range !== undefined) {
      const input = value.inputs[0] as Value;
      slices.set(input, [...(slices.get(input) ?? []), range]);
      continue;
    }
    const again = replay(value, dy, collected);
    // The row fits the op by construction; TypeScript can't correlate the two unions.
    const rule = rules[value.op] as GradientRule<OpName>;
    const row = wholeGradient(again, dy) ?? rule?.(again as never, dy, forms) ?? [];
    operands.forEach((operand, i) => {
      const gradient = row[i];
      if (active.has(operand) && gradient) accumulate(operand, gradient());
    });
  }
  return wrt.map((value) => settled(value) ?? expand(scalar(0, value.dtype), value.shape));
}

/** The gradient of a contiguous range of one axis. */
interface SliceGradient {
  readonly axis: number;
  readonly start: number;
  readonly gradient: Value;
}

/** The range that a slice takes, if it is one of a single axis without steps. */
function singleRange({ attributes }: ValueOf<"slice">, gradient: Value): SliceGradient | undefined {
  const { axes, starts, steps } = attributes;
  const [axis, start] = [axes[0], starts[0]];
  if (axes.length !== 1 || steps[0] !== 1 || axis === undefined || start === undefined) return undefined;
  return { axis, start, gradient };
}

/**
 * The gradient of `value` from those of slices of it. Each on its own is the part amid zeros, and these are added up; parts that cover
 * the axis are simply joined again.
 */
function joinSlices(value: Value, slices: readonly SliceGradient[]): Value {
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

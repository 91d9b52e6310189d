/**
 * Graph to graph: 3x3 convolutions take Winograd's form with channels last, and what lies between them follows.
 *
 * A value that exists with channels last is known by both of its forms. Elementwise ops and means over channels that meet such
 * a value compute with channels last too, so that the transposes in between cancel and remain only where a stage begins or
 * ends. So do composites that say how (their column `channelsLast`); others that meet such a value give way to their bodies.
 * Norms over channels then run along the last axis, where the runtime has them as one operator.
 */

import { analyze } from "../analyze.js";
import { maker, rebuild } from "../composites/composite.js";
import { compositeRow } from "../composites/composite-table.js";
import { isStaticShape } from "../dim.js";
import { mapProgram } from "../map-graph.js";
import { opTraits } from "../op-traits.js";
import { reshape, transpose } from "../ops/layout.js";
import { reduceMean } from "../ops/reduce.js";
import type { Program } from "../program.js";
import { sizeOf } from "../tensor.js";
import type { Value, ValueOf } from "../value.js";
import { type ChooseWinograd, isUpsampled, winogradSize } from "./winograd.js";
import { type SizeConstants, winogradChannelsLast } from "./winograd-channels-last.js";
import type { WinogradTile } from "./winograd-matrices.js";

/** The two forms of values. */
class Layouts {
  readonly #last = new Map<Value, Value>();

  /** Whether the value exists with channels last. */
  has(value: Value): boolean {
    return this.#last.has(value);
  }

  /** [N, C, H, W] to [N, H, W, C]. */
  toLast(value: Value): Value {
    const known = this.#last.get(value) ?? transpose(value, [0, 2, 3, 1]);
    this.#last.set(value, known);
    return known;
  }

  /** [N, H, W, C] to [N, C, H, W]. */
  toFirst(value: Value): Value {
    const first = transpose(value, [0, 3, 1, 2]);
    this.#last.set(first, value);
    return first;
  }

  /** An operand of an elementwise op with a result of rank 4, as it broadcasts with channels last; undefined where it doesn't. */
  operand(value: Value): Value | undefined {
    if (!isStaticShape(value.shape)) return undefined;
    if (value.shape.length === 4) return this.toLast(value);
    if (sizeOf(value.shape) === 1) return value;
    // One value per channel, as [C, 1, 1].
    const [channels, ...rest] = value.shape;
    return value.shape.length === 3 && rest.every((size) => size === 1)
      ? reshape(value, [channels as number])
      : undefined;
  }
}

/** A value per pixel, not just per channel. */
const isPicture = ({ shape }: Value): boolean => shape.length === 4 && !(shape[2] === 1 && shape[3] === 1);

/**
 * The op with channels last, if all pictures it takes exist in that form; one suffices where a convolution waits for the result.
 *
 * @param inputs of the rewritten op
 * @param wanted whether the result is needed with channels last
 */
function follow(value: Value, inputs: readonly Value[], layouts: Layouts, wanted: boolean): Value | undefined {
  if (value.shape.length !== 4) return undefined;
  const known = inputs.filter(isPicture).map((input) => layouts.has(input));
  if (!known.includes(true) || (known.includes(false) && !wanted)) return undefined;
  if (value.op === "reduceMean") {
    const { axes, keepDims } = value.attributes;
    return axes.join() === "1" && keepDims
      ? reduceMean(layouts.toLast(inputs[0] as Value), 3, { keepDims: true })
      : undefined;
  }
  if (!opTraits[value.op].elementwise) return undefined;
  const operands = inputs.map((input) => layouts.operand(input));
  if (operands.includes(undefined)) return undefined;
  return rebuild(value, operands as Value[]);
}

/** A composite of a picture that exists with channels last, in that form, or undefined where its row has none. */
function compositeLast(value: ValueOf<"composite">, inputs: readonly Value[], layouts: Layouts): Value | undefined {
  const [x, ...others] = inputs;
  const row = compositeRow(value);
  return row.channelsLast?.(value as never, [layouts.toLast(x as Value), ...others] as never, maker(value) as never);
}

/** @param choose the tile of each convolution, undefined where it stays as it is */
export function channelsLastWinograd(program: Program, choose: ChooseWinograd): Program {
  const facts = analyze(program);
  const layouts = new Layouts();
  const shared: SizeConstants = new Map();
  const tiles = new Map<Value, WinogradTile>();
  const wanted = new Set<Value>();
  for (const value of facts.order) {
    const size = winogradSize(value, facts);
    const tile = size && value.op === "conv2d" ? choose(size, value.inputs[1]) : undefined;
    if (tile === undefined) continue;
    tiles.set(value, tile);
    wanted.add(value.inputs[0] as Value);
  }
  return mapProgram(program, (value, inputs, keep, inline) => {
    const tile = tiles.get(value);
    if (tile !== undefined && value.op === "conv2d") {
      const [x, weight, bias] = inputs as readonly [Value, Value, Value?];
      const { padding } = value.attributes;
      const upsampled = isUpsampled(x, padding);
      const source = layouts.toLast(upsampled ? (x.inputs[0] as Value) : x);
      return layouts.toFirst(winogradChannelsLast(source, weight, { tile, bias, padding, upsampled }, shared));
    }
    if (facts.isConstant(value)) return keep();
    if (value.op === "composite") {
      if (!inputs.some((input) => isPicture(input) && layouts.has(input))) return keep();
      const last = compositeLast(value, inputs, layouts);
      return last === undefined ? inline() : layouts.toFirst(last);
    }
    const last = follow(value, inputs, layouts, wanted.has(value));
    return last === undefined ? keep() : layouts.toFirst(last);
  });
}

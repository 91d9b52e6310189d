/**
 * Activation checkpointing (Chen et al. 2016): keep few activations of the forward pass, compute the others again.
 *
 * The forward pass is cut where a single activation carries everything on (the outputs of residual blocks). Kept are the values
 * at some of these cuts; when the backward pass arrives at a segment between two of them, its values are rebuilt from the first.
 *
 * A runtime that merges equal computations (ONNX Runtime does) would merge the rebuilt ones with the originals and keep
 * everything alive after all, and a runtime is free to put off the weights' gradients, which need what was rebuilt, to the very
 * end (it does). So each segment is rebuilt from its start plus a zero that is computed from the gradient at its end and from
 * the weights' gradients of the segments behind it: another value to the runtime, the same number, and it can't be had before
 * the backward pass has got there and is done with what it rebuilt before.
 *
 * Measured on ONNX Runtime 1.30 (24 residual blocks of width 32 on 4 x 64 x 64, one thread; resident size above that of an
 * idle process): 415 MB kept, 371 MB rebuilt without waiting for the weights' gradients, 139 MB as it is here.
 */
import {
  add,
  byteSize,
  ConfigError,
  cast,
  cutsOf,
  dependents,
  graphMapper,
  greater,
  isStaticShape,
  rebuild,
  reshape,
  sizeOf,
  slice,
  topologicalOrder,
  type Value,
} from "@dcae/core/graph";
import type { GradientOptions } from "./gradients.js";

/** Values that depend on an input and aren't one: what the forward pass computes per example. */
function activationsOf(order: readonly Value[]): Set<Value> {
  const fed = dependents(order, ({ op }) => op === "input");
  return new Set([...fed].filter(({ op }) => op !== "input"));
}

function bytesOf(value: Value): number {
  return isStaticShape(value.shape) ? sizeOf(value.shape) * byteSize(value.dtype) : 0;
}

/** What is computed for a value: itself, or all values of a composite's body. */
function computedFor(value: Value): Value[] {
  if (value.op !== "composite") return [value];
  const outside = new Set<Value>(value.inputs);
  return topologicalOrder([value.attributes.body.result], (operand) => outside.has(operand)).filter(
    ({ inputs }) => inputs.length > 0,
  );
}

/** Activations through which alone everything before them reaches `output`, in the order of the forward pass. */
export function cutPoints(output: Value): Value[] {
  const order = topologicalOrder([output]);
  return cutsOf(order, activationsOf(order)).filter((value) => value !== output);
}

/**
 * Of the cuts, those to keep so that kept activations and the largest segment between them take the least memory together.
 * The segment after the last one is never rebuilt.
 */
export function chooseCheckpoints(output: Value): Value[] {
  const order = topologicalOrder([output]);
  const activations = activationsOf(order);
  const cuts = new Set(cutPoints(output));
  /** Bytes of the activations up to each cut, and after the last one. */
  const gaps: { readonly bytes: number; readonly cut: Value | undefined }[] = [];
  let bytes = 0;
  for (const value of order) {
    if (activations.has(value)) bytes += computedFor(value).reduce((sum, part) => sum + bytesOf(part), 0);
    if (!cuts.has(value)) continue;
    gaps.push({ bytes, cut: value });
    bytes = 0;
  }
  gaps.push({ bytes, cut: undefined });

  const total = gaps.reduce((sum, gap) => sum + gap.bytes, 0);
  let best: { readonly cost: number; readonly kept: readonly Value[] } = { cost: total, kept: [] };
  for (let budget = total; budget >= total / 256; budget /= 1.1) {
    const kept: Value[] = [];
    let segment = 0;
    let largest = 0;
    let previous: Value | undefined;
    for (const gap of gaps) {
      if (segment > 0 && segment + gap.bytes > budget && previous !== undefined) {
        kept.push(previous);
        largest = Math.max(largest, segment);
        segment = 0;
      }
      segment += gap.bytes;
      previous = gap.cut;
    }
    const cost = kept.reduce((sum, value) => sum + bytesOf(value), Math.max(largest, segment));
    if (cost < best.cost) best = { cost, kept };
  }
  return [...best.kept];
}

/** 0, computed from a gradient: no element of it is above infinity, which no runtime knows in advance. */
function zeroFrom(gradient: Value): Value {
  const element = reshape(slice(reshape(gradient, [-1]), 0, 0, 1), []);
  return cast(greater(element, Number.POSITIVE_INFINITY), gradient.dtype);
}

/**
 * The `replay` of `gradients` that keeps only `checkpoints` of the forward pass to `output`.
 *
 * @param checkpoints cuts of the forward pass (`cutPoints`), by default `chooseCheckpoints(output)`
 * @throws ConfigError when one isn't part of the forward pass
 */
export function recomputation(
  output: Value,
  checkpoints: readonly Value[] = chooseCheckpoints(output),
): NonNullable<GradientOptions["replay"]> {
  const order = topologicalOrder([output]);
  const activations = activationsOf(order);
  const kept = new Set(checkpoints);
  const segments = new Map<Value, number>();
  let number = 0;
  for (const value of order) {
    if (activations.has(value)) for (const part of [value, ...computedFor(value)]) segments.set(part, number);
    if (kept.has(value)) number++;
  }
  if (number !== kept.size) throw new ConfigError("recomputation: a checkpoint isn't part of the forward pass");
  const last = number;
  /** For each segment, what makes its values again. */
  const rebuilt = new Map<number, (value: Value) => Value>();
  const awaited = new Set<Value>();

  /** A zero that waits for `dy` and for the gradients of all weights that have one and weren't waited for before. */
  function waitFor(dy: Value, collected: ReadonlyMap<Value, Value>): Value {
    const zeros = [zeroFrom(dy)];
    for (const [value, gradient] of collected) {
      if (value.op !== "parameter" || awaited.has(value)) continue;
      awaited.add(value);
      zeros.push(zeroFrom(gradient));
    }
    return zeros.reduce((sum, zero) => add(sum, zero));
  }

  /** The segment from the checkpoint that it starts from, held back by a zero. */
  function rebuildSegment(of: number, zero: Value): (value: Value) => Value {
    return graphMapper(
      // Another value even where its inputs are the same, before the first checkpoint: an engine may then free the original.
      (value, inputs) => rebuild(value, inputs),
      (value) => {
        if (segments.get(value) === of) return undefined;
        return kept.has(value) ? add(value, zero) : value;
      },
    );
  }

  return (value, dy, collected) => {
    const of = segments.get(value);
    if (of === undefined || of === last) return value;
    const again = rebuilt.get(of) ?? rebuildSegment(of, waitFor(dy, collected));
    rebuilt.set(of, again);
    return again(value);
  };
}

/**
 * Which updates of a program may be written over what they replace, so that a training holds such state once.
 *
 * It is safe where everything that reads the old value is done when the new one is written. What the new value depends on is done by then;
 * so is the op that computes the new value where it makes each element from the same element of the old one, which the runtime does in place
 * by itself. Views and transposes of the old value count as the old value: the runtime shares memory for the ones, and lets products
 * read through the others.
 */
import { analyze, topologicalOrder } from "../graph/analyze.js";
import { staticShape } from "../graph/dim.js";
import { opTraits } from "../graph/op-traits.js";
import type { Program } from "../graph/program.js";
import { sizeOf } from "../graph/tensor.js";
import type { Value } from "../graph/value.js";

const isView = ({ op }: Value) => opTraits[op].view === true;
const isTransposed = ({ op }: Value) => op === "transpose";
const elementsOf = ({ shape }: Value) => sizeOf(staticShape(shape, "an update"));

/** @param program as it is lowered (`onnxForm`) */
export function inPlaceUpdates(program: Program): Set<string> {
  const { order, users, results } = analyze(program);
  const parameters = new Map(
    order.flatMap((value) => (value.op === "parameter" ? [[value.attributes.name, value as Value] as const] : [])),
  );
  const isResult = new Set(results);
  /** What a scalar depends on, which is asked for every weight again: the norm of all gradients is behind the whole program. */
  const behind = new Map<Value, ReadonlySet<Value>>();

  /** The old value under all its forms. */
  function formsOf(old: Value): Value[] {
    const forms = [old];
    for (const form of forms) forms.push(...new Set(users(form).filter((user) => isView(user) || isTransposed(user))));
    return forms;
  }

  function ancestorsOf(scalar: Value): ReadonlySet<Value> {
    const found = behind.get(scalar) ?? new Set(topologicalOrder([scalar]));
    behind.set(scalar, found);
    return found;
  }

  function dependsOnAll(writer: Value, readers: Set<Value>): boolean {
    // Nearest first: readers are near, or behind a scalar that is.
    const found = new Set(writer.inputs);
    for (const value of found) {
      if (readers.size === 0) break;
      if (value.shape.length > 0) {
        readers.delete(value);
        for (const operand of value.inputs) found.add(operand);
        continue;
      }
      const ancestors = ancestorsOf(value);
      for (const reader of readers) if (ancestors.has(reader)) readers.delete(reader);
    }
    return readers.size === 0;
  }

  function isSafe([name, update]: readonly [string, Value]): boolean {
    const old = parameters.get(name);
    if (old === undefined) return true;
    let writer = update;
    while (isView(writer)) writer = writer.inputs[0] as Value;
    const forms = formsOf(old);
    // What leaves the program is copied at the end, when the new value may be there.
    if (forms.some((form) => isResult.has(form))) return false;
    const readers = new Set(forms.flatMap((form) => users(form)).filter((user) => !forms.includes(user)));
    if (readers.has(writer)) {
      const whole = writer.inputs.every((operand) => {
        if (!forms.includes(operand)) return true;
        return !isTransposed(operand) && elementsOf(operand) === elementsOf(writer);
      });
      if (opTraits[writer.op].inPlace !== true || !whole) return false;
      readers.delete(writer);
    }
    return dependsOnAll(writer, readers);
  }

  return new Set([...program.updates].filter(isSafe).map(([name]) => name));
}

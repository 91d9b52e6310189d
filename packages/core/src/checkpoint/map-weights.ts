/**
 * Weights under other names: a file's arrays as the model's parameters, and the model's parameters as a file's arrays.
 * Both are lazy: nothing is read until an entry is.
 */
import { CheckpointError } from "../errors.js";
import { allocate } from "../graph/dtype.js";
import { sizeOf, Tensor } from "../graph/tensor.js";
import { quoted } from "./json-text.js";
import { isOptionalBuffer } from "./optional-buffer.js";
import type { PlannedWeight, WeightPlan } from "./weight-plan.js";
import type { WeightEntry, Weights } from "./weights.js";

/**
 * The parameters of a model, from a file in the plan's format. Check the file with `checkWeights` first.
 *
 * A parameter that is one array of the file keeps its place in it (`location`); arrays that are joined don't. Batch counters
 * that the file lacks are 0. Closing the result closes `weights`.
 *
 * @throws CheckpointError when an array is missing
 */
export function mapWeights(weights: Weights, plan: WeightPlan): Weights {
  const entries = plan.map((planned): [string, WeightEntry] => [planned.spec.name, joined(weights, planned)]);
  return { source: weights.source, entries: new Map(entries), close: () => weights.close() };
}

function joined(weights: Weights, { spec, pieces }: PlannedWeight): WeightEntry {
  const sources = pieces.flatMap(({ name }) => weights.entries.get(name) ?? []);
  const { name, shape } = spec;
  const [first] = sources;
  if (first === undefined && isOptionalBuffer(spec)) {
    return { name, shape, dtype: spec.dtype, read: async () => Tensor.zeros(shape, spec.dtype) };
  }
  if (first === undefined || sources.length < pieces.length) {
    throw new CheckpointError(`${weights.source}: lacks tensors for the parameter ${quoted(name)}`);
  }
  if (sources.length === 1) {
    return { ...first, name, shape, read: async () => (await first.read()).reshape(shape) };
  }
  const { dtype } = first;
  return {
    name,
    shape,
    dtype,
    async read() {
      const data = allocate(dtype, sizeOf(shape));
      let position = 0;
      for (const source of sources) {
        const part = (await source.read()).data;
        data.set(part as never, position);
        position += part.length;
      }
      return new Tensor(dtype, data, shape);
    },
  };
}

/**
 * The arrays of a file in the plan's format, from weights under the model's own parameter names: the inverse of `mapWeights`.
 * Closing the result closes `weights`.
 *
 * @throws CheckpointError when a parameter is missing
 */
export function unmapWeights(weights: Weights, plan: WeightPlan): Weights {
  const entries = plan.flatMap((planned) => cut(weights, planned)).map((entry) => [entry.name, entry] as const);
  return { source: weights.source, entries: new Map(entries), close: () => weights.close() };
}

function cut(weights: Weights, { spec, pieces }: PlannedWeight): WeightEntry[] {
  const source = weights.entries.get(spec.name);
  if (source === undefined) {
    throw new CheckpointError(`${weights.source}: lacks the parameter ${quoted(spec.name)}`);
  }
  const [only, second] = pieces;
  if (only !== undefined && second === undefined) {
    const { name, shape } = only;
    return [{ ...source, name, shape, read: async () => (await source.read()).reshape(shape) }];
  }
  const read = sharedRead(source, pieces.length);
  let start = 0;
  return pieces.map(({ name, shape }) => {
    const begin = start;
    start += sizeOf(shape);
    return {
      name,
      shape,
      dtype: source.dtype,
      read: async () =>
        (await read())
          .reshape([-1])
          .slice([{ start: begin, stop: begin + sizeOf(shape) }])
          .reshape(shape),
    };
  });
}

/** Reads once for `uses` calls, then lets go of the array: a writer asks for the pieces one after the other. */
function sharedRead(source: WeightEntry, uses: number): () => Promise<Tensor> {
  let pending: Promise<Tensor> | undefined;
  let left = 0;
  return () => {
    if (pending === undefined) {
      pending = source.read();
      left = uses;
    }
    const result = pending;
    left -= 1;
    if (left === 0) pending = undefined;
    result.catch(() => {
      if (pending === result) pending = undefined;
    });
    return result;
  };
}

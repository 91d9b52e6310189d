/**
 * Which arrays of a file make up which parameters, and weights under the other names: a file's arrays as the model's parameters,
 * and the model's parameters as a file's arrays. Both are lazy: nothing is read until an entry is.
 *
 * Between all formats a parameter is one array, or several whose rows follow each other; shapes differ at most in unit
 * dimensions. So in row-major order a parameter's values are always the values of its pieces, one after the other, and one plan
 * serves both directions: reading joins the pieces, writing cuts them.
 */
import { CheckpointError } from "../../errors.js";
import { allocate } from "../../graph/dtype.js";
import { sizeOf, Tensor } from "../../graph/tensor.js";
import type { ParameterSpec } from "../../graph/value.js";
import { FAMILIES, familyOfFormat, type WeightFormat } from "../../models/families.js";
import type { WeightNames, WeightPiece } from "../../models/family.js";
import { quoted } from "../json-text.js";
import type { WeightEntry, Weights } from "../weights.js";

/** A parameter and the arrays whose values, joined in this order, are its values. */
export interface PlannedWeight {
  readonly spec: ParameterSpec;
  readonly pieces: readonly WeightPiece[];
}

export type WeightPlan = readonly PlannedWeight[];

/**
 * Where the parameters of a model lie in a file of the given format, and where to put them in one.
 *
 * @param specs all parameters of the model, under its own names
 * @throws CheckpointError when the format has no name for a parameter
 */
export function planWeights(specs: readonly ParameterSpec[], format: WeightFormat): WeightPlan {
  const names: Readonly<Record<string, WeightNames>> = FAMILIES[familyOfFormat(format)].weightNames;
  const rule = (names[format] as WeightNames).rule(specs);
  return specs.map((spec) => {
    const pieces = rule({ name: spec.name, shape: spec.shape });
    if (pieces === undefined) {
      throw new CheckpointError(`the ${format} format has no name for the parameter ${quoted(spec.name)}`);
    }
    const size = pieces.reduce((sum, piece) => sum + sizeOf(piece.shape), 0);
    if (size !== sizeOf(spec.shape)) {
      throw new CheckpointError(
        `the ${format} format can't hold the parameter ${quoted(spec.name)} of shape [${spec.shape.join(", ")}]`,
      );
    }
    return { spec, pieces };
  });
}

/**
 * Whether a checkpoint may lack this parameter: true only for the batch counters of batch normalization, which no computation
 * reads (the momentum is constant), and which some tools drop.
 */
export function isOptionalBuffer({ name, trainable }: Pick<ParameterSpec, "name" | "trainable">): boolean {
  return !trainable && (name === "num_batches_tracked" || name.endsWith(".num_batches_tracked"));
}

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

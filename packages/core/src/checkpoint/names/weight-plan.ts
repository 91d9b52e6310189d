/**
 * Which arrays of a file make up which parameters, and weights under the other names: a file's arrays as the model's parameters,
 * and the model's parameters as a file's arrays. Both are lazy: nothing is read until an entry is.
 *
 * Between all formats a parameter is one array, or several whose rows follow each other; shapes differ at most in unit
 * dimensions. So in row-major order a parameter's values are always the values of its pieces, one after the other, and one plan
 * serves both directions: reading joins the pieces, writing cuts them.
 */
import { CheckpointError } from "../../errors.js";
import { allocate, dtypeKind } from "../../graph/dtype.js";
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

/** Which arrays of a file make up which parameters, for all parameters of a model. */
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

// Whether a file holds exactly the arrays of a model. Nothing that doesn't fit is ignored: a checkpoint of another model must
// never load and give poor pictures.

/** Problems that an error lists in full. */
const MAX_LISTED = 20;

interface Problem {
  readonly kind: "missing" | "unexpected" | "misshaped" | "of another type";
  readonly line: string;
}

/** What `checkWeights` says when something is wrong. */
export interface CheckWeightsOptions {
  /** What the file looks like instead, as in `dc-ae-f32c32-sana-1.0`; asked only when something is wrong. */
  readonly identify?: () => readonly string[];
  /** What the plan is for, for the message. */
  readonly model?: string;
}

/**
 * Compares the arrays of a file (names, shapes, and whether they hold floats or integers) with a plan. The width of a type may
 * differ: a float16 file fits a float32 model.
 *
 * @throws CheckpointError that lists what is missing, unexpected, misshaped and of another type
 */
export function checkWeights(plan: WeightPlan, weights: Weights, options: CheckWeightsOptions = {}): void {
  const problems = findProblems(plan, weights);
  if (problems.length === 0) return;

  const kinds = ["missing", "unexpected", "misshaped", "of another type"] as const;
  const summary = kinds
    .map((kind) => [problems.filter((problem) => problem.kind === kind).length, kind] as const)
    .filter(([count]) => count > 0)
    .map(([count, kind]) => `${count} ${kind}`);
  const lines = problems.slice(0, MAX_LISTED).map(({ line }) => `\n  ${line}`);
  if (problems.length > MAX_LISTED) lines.push(`\n  and ${problems.length - MAX_LISTED} more`);

  const found = options.identify?.() ?? [];
  throw new CheckpointError(
    `${weights.source}: these tensors don't fit ${options.model ?? "the model"}: ${summary.join(", ")}${lines.join("")}`,
    found.length === 0 ? {} : { hint: `This looks like ${found.join(" or ")}.` },
  );
}

function findProblems(plan: WeightPlan, weights: Weights): Problem[] {
  const problems: Problem[] = [];
  const expected = new Set<string>();
  for (const planned of plan) {
    for (const piece of planned.pieces) {
      expected.add(piece.name);
      const problem = compare(planned, piece, weights.entries.get(piece.name));
      if (problem !== undefined) problems.push(problem);
    }
    const types = new Set(planned.pieces.flatMap(({ name }) => weights.entries.get(name)?.dtype ?? []));
    if (types.size > 1) {
      const names = planned.pieces.map(({ name }) => quoted(name)).join(", ");
      problems.push({
        kind: "of another type",
        line: `${names} must have one dtype but have ${[...types].join(", ")}`,
      });
    }
  }
  for (const { name, shape } of weights.entries.values()) {
    if (!expected.has(name))
      problems.push({ kind: "unexpected", line: `unexpected ${quoted(name)} ${shapeText(shape)}` });
  }
  return problems;
}

function compare({ spec }: PlannedWeight, piece: WeightPiece, entry: WeightEntry | undefined): Problem | undefined {
  const name = quoted(piece.name);
  if (entry === undefined) {
    if (isOptionalBuffer(spec)) return undefined;
    return { kind: "missing", line: `missing ${name} ${shapeText(piece.shape)}` };
  }
  if (entry.shape.length !== piece.shape.length || entry.shape.some((dim, axis) => dim !== piece.shape[axis])) {
    return { kind: "misshaped", line: `${name} is ${shapeText(entry.shape)} but must be ${shapeText(piece.shape)}` };
  }
  const kind = dtypeKind(spec.dtype);
  if (dtypeKind(entry.dtype) === kind) return undefined;
  return {
    kind: "of another type",
    line: `${name} is ${entry.dtype} but must be ${kind === "int" ? "an integer" : `a ${kind}`} type`,
  };
}

function shapeText(shape: readonly number[]): string {
  return `[${shape.join(", ")}]`;
}

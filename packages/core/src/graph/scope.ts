/**
 * A place in the tree of parameter names.
 *
 * Blocks are functions `(scope, x) => Value`. A scope names their parameters exactly as the official checkpoints do and
 * makes each one once; it holds no values, so that the same function serves every checkpoint, engine and shape.
 */
import { ShapeError } from "../errors.js";
import { dtypeKind } from "./dtype.js";
import { parameter } from "./ops/elementwise.js";
import type { Initializer, ParameterSpec, Value } from "./value.js";

/** How a parameter begins, and whether an optimizer may change it. */
export interface ParameterOptions {
  /** How a fresh model draws the values (default: all 0). */
  readonly init?: Initializer;
  /** false for buffers such as batch-norm statistics (default true). */
  readonly trainable?: boolean;
  readonly dtype?: ParameterSpec["dtype"];
}

/** Fills a fresh parameter with 0. */
export const ZEROS: Initializer = { kind: "constant", value: 0 };
/** Fills a fresh parameter with 1. */
export const ONES: Initializer = { kind: "constant", value: 1 };

/** A place in the tree of official parameter names, from which blocks take their weights. */
export interface Scope {
  /** Dotted name of this place, "" at the root. */
  readonly path: string;
  /** The place `name` below this one; names may contain dots. Numbers are list positions. */
  at(name: string | number): Scope;
  /** Whether blocks behave as in training (batch norm uses the batch's statistics and updates its own). */
  readonly training: boolean;
  /** Ranks that share a batch in training, each with rows of its own: statistics of the batch are those of all rows. Default 1. */
  readonly ranks?: number | undefined;
  /**
   * The parameter `name` of this place; asking again gives the same value.
   *
   * The first request says how its values are drawn: whoever wants other ones than a block asks before it.
   *
   * @throws ShapeError when it was asked for before with another shape or dtype, or as a weight where this asks for a buffer
   */
  parameter(name: string, shape: readonly number[], options?: ParameterOptions): Value;
  /** Records what the parameter `name` of this place becomes after the step. @throws ShapeError when that was said before */
  update(name: string, value: Value): void;
}

/** A root scope, with the parameters that were asked of it and the updates that were recorded, in order. */
export interface RootScope extends Scope {
  readonly parameters: ReadonlyMap<string, ParameterSpec>;
  readonly updates: ReadonlyMap<string, Value>;
}

/** A second request for a parameter must be for the same one; what it leaves out is as it was. */
function checkSame(spec: ParameterSpec, shape: readonly number[], { dtype, trainable }: ParameterOptions): void {
  const refuse = (problem: string) => new ShapeError(`parameter "${spec.name}" ${problem} at once`);
  if (spec.shape.join() !== shape.join()) throw refuse(`is [${spec.shape.join(", ")}] and [${shape.join(", ")}]`);
  if (dtype !== undefined && dtype !== spec.dtype) throw refuse(`is ${spec.dtype} and ${dtype}`);
  if (trainable !== undefined && trainable !== spec.trainable) throw refuse("is trainable and not");
}

/** A new tree of parameters. */
export function createScope({
  training = false,
  ranks = 1,
}: Partial<Pick<Scope, "training" | "ranks">> = {}): RootScope {
  const values = new Map<string, Value>();
  const specs = new Map<string, ParameterSpec>();
  const updates = new Map<string, Value>();

  function resolve(name: string, shape: readonly number[], options: ParameterOptions): Value {
    const known = values.get(name);
    const spec = specs.get(name);
    if (known !== undefined && spec !== undefined) {
      checkSame(spec, shape, options);
      return known;
    }
    const dtype = options.dtype ?? "float32";
    const trainable = options.trainable ?? dtypeKind(dtype) === "float";
    const fresh: ParameterSpec = { name, shape, dtype, init: options.init ?? ZEROS, trainable };
    const value = parameter(fresh);
    values.set(name, value);
    specs.set(name, fresh);
    return value;
  }

  function place(path: string): Scope {
    const below = (name: string | number) => (path === "" ? String(name) : `${path}.${name}`);
    return {
      path,
      training,
      ranks,
      at: (name) => place(below(name)),
      parameter: (name, shape, options = {}) => resolve(below(name), shape, options),
      update(name, value) {
        const full = below(name);
        if (updates.has(full)) {
          throw new ShapeError(`parameter "${full}" is updated twice`, {
            hint: "A part of a model that runs twice in a step updates its statistics in one of the passes only.",
          });
        }
        updates.set(full, value);
      },
    };
  }

  return { ...place(""), parameters: specs, updates };
}

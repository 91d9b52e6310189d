/** What a method of optimization is (a row of optimizers.ts), and the tensors that it keeps beside the model's weights. */
import { type DType, parameter, reshape, staticShape, type Value, ZEROS } from "@dcae/core/graph";
import type { z } from "zod";

/** A weight of the model as the optimizer sees it. */
export interface NamedValue {
  /** Official name. */
  readonly name: string;
  readonly value: Value;
}

/** What one update gives a method to work with. */
export interface UpdateTerms {
  /** In front of the names of the method's state. */
  readonly prefix: string;
  /** In the order of the forward pass. */
  readonly weights: readonly NamedValue[];
  /** One for each weight, before clipping. */
  readonly gradients: readonly Value[];
  /** What gradients are to be multiplied by, a scalar; undefined where nothing clips. */
  readonly clip: Value | undefined;
  readonly learningRate: Value;
  /** Number of this update, from 1, float32 scalar. */
  readonly count: Value;
  /** A weight after its decay, shaped as `flat` does. */
  decayed(weight: NamedValue): Value;
}

/** A method of optimization. */
export interface OptimizerRow<Settings extends z.ZodRawShape> {
  /** Its settings beside those that all methods share, with their defaults. */
  readonly settings: Settings;
  /** New values of the weights and of the method's own state, by name. */
  readonly move: (terms: UpdateTerms, settings: z.output<z.ZodObject<Settings>>) => Map<string, Value>;
}

/** A row whose function knows the types of its settings. */
export function optimizerRow<Settings extends z.ZodRawShape>(row: OptimizerRow<Settings>): OptimizerRow<Settings> {
  return row;
}

/** A tensor of training state that starts at 0 and no optimizer trains. */
export function stateParameter(name: string, shape: readonly number[], dtype: DType = "float32"): Value {
  return parameter({ name, shape, dtype, init: ZEROS, trainable: false });
}

/** State of the same shape as a weight. */
export function stateLike(prefix: string, { name, value }: NamedValue): Value {
  return stateParameter(`${prefix}.${name}`, staticShape(value.shape, `state of "${name}"`));
}

/**
 * All elements in one axis where the last axis has length 1, as in the weights of 1x1 convolutions.
 *
 * ONNX Runtime combines a scalar with such tensors one element at a time: fifteen times slower than with a vector. Others stay
 * as they are, because a result under another shape is copied once more.
 */
export function flat(value: Value): Value {
  return value.shape.length > 1 && value.shape.at(-1) === 1 ? reshape(value, [-1]) : value;
}

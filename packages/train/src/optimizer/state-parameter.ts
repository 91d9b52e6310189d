/** Training state beside the model's weights: counters, moments, averages. Their names don't collide with official ones. */
import {
  ConfigError,
  type DType,
  type ParameterSpec,
  parameter,
  reshape,
  staticShape,
  type Value,
  ZEROS,
} from "@dcae/core/graph";

/** A weight of the model as the optimizer sees it. */
export interface NamedValue {
  /** Official name. */
  readonly name: string;
  readonly value: Value;
}

/** A tensor of training state that starts at 0 and no optimizer trains. */
export function stateParameter(name: string, shape: readonly number[], dtype: DType = "float32"): Value {
  return parameter({ name, shape, dtype, init: ZEROS, trainable: false });
}

/** State of the same shape as a weight. */
export function stateLike(prefix: string, { name, value }: NamedValue): Value {
  return stateParameter(`${prefix}.${name}`, staticShape(value.shape, `state of "${name}"`));
}

/** The name of a parameter value. @throws ConfigError when the value isn't a parameter */
export function specOf(value: Value): ParameterSpec {
  if (value.op !== "parameter") throw new ConfigError(`expected a parameter, got the result of ${value.op}`);
  return value.attributes;
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

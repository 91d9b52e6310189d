/** The type of a row of the gradient table. */
import type { OpName, Value, ValueOf } from "@dcae/core/graph";

/** Builds the gradient of one input, or null where none flows (integer indices, conditions). */
export type InputGradient = (() => Value) | null;

/** Which of several forms gradients take where they have a choice. */
export interface GradientForms {
  /**
   * The weight gradient of a depthwise convolution: "taps" are products of shifted pictures, one per tap, which run anywhere;
   * "convolution" is one depthwise convolution of the input with the output's gradient as its filter, which is many times
   * faster where large filters in many groups are (OnnxEngine on a CPU).
   */
  readonly depthwise: "taps" | "convolution";
  /**
   * The input gradient of a dense convolution: a "transposed" convolution where the stride isn't 1 or channels are many, or
   * "convolutions" of the output's gradient always, one for each of the positions that a stride distinguishes, which is faster
   * where convolutions are faster than their adjoints (OnnxEngine on a CPU).
   */
  readonly input: "transposed" | "convolutions";
  /**
   * Whether composites are differentiated "whole" (their column `gradient`) and gradients of parts are joined
   * (`joinSlices` in gradients.ts), or everything "by-op".
   */
  readonly compositions: "whole" | "by-op";
}

/**
 * Given a value of op `K` and the gradient `dy` of the loss with respect to it (its shape and dtype), lists one function per
 * input. Functions, so that gradients nobody asks for are never built.
 *
 * A row of null says that the op has no derivative: nothing flows through it.
 */
export type GradientRule<K extends OpName> =
  | ((y: ValueOf<K>, dy: Value, forms: GradientForms) => readonly InputGradient[])
  | null;

/**
 * What is known about a parameter before its values are: name, shape, dtype and how a fresh model draws it.
 */
import type { DType } from "./dtype.js";

/** How the initial values of a parameter are drawn (PyTorch's defaults, dcae.md section 11). */
export type Initializer =
  /** Uniform in [-bound, bound]. */
  | { readonly kind: "uniform"; readonly bound: number }
  /** Normal, with mean 0 unless it says another. */
  | { readonly kind: "normal"; readonly std: number; readonly mean?: number }
  | { readonly kind: "constant"; readonly value: number }
  /** Fixed values in row-major order (a table of sines), made when they are needed. */
  | { readonly kind: "computed"; readonly values: () => Float32Array };

export interface ParameterSpec {
  /** Official name, with dots, as in `encoder.stages.1.op_list.0.main.conv1.conv.weight`. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly init: Initializer;
  /** false for buffers (batch-norm statistics), which no optimizer changes. */
  readonly trainable: boolean;
}

/** Where what a program computes from its weights can be kept, so that loading it again computes nothing. */
import type { Weights } from "../checkpoint/weights.js";
import type { Program } from "../graph/program.js";
import type { Tensor } from "../graph/tensor.js";

/** Computes the one output of a program without inputs. */
export type Evaluate = (program: Program, weights: Weights) => Promise<Tensor>;

export interface PreparedProgram {
  readonly program: Program;
  readonly weights: Weights;
}

export interface ProgramConstants {
  /** The program as a function of what was computed, and what was computed as weights; computes what isn't there. */
  prepare(program: Program, weights: Weights, evaluate: Evaluate): Promise<PreparedProgram>;
}

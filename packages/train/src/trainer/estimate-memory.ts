/** How much memory the programs of a training take, by the model that limits of inference are kept with (`programMemory` in core). */
import type { Program } from "@dcae/core/graph";
import { programMemory } from "@dcae/core/runtime";

/** In bytes. */
export interface MemoryEstimate {
  /** Parameters that don't change, and what is computed from them once. */
  readonly frozen: number;
  /** What is updated, twice: an update is written beside what it is computed from. */
  readonly state: number;
  /** Largest sum of the other values that live at one time. */
  readonly activations: number;
  /** All of these tensors. */
  readonly total: number;
  /** What the process takes at its peak, on a CPU: the tensors, what the runtime makes of them, and the program itself. */
  readonly process: number;
}

/** Of programs that share a state and run one after the other. To tell gigabytes from hundreds of them before a start. */
export function estimateMemory(programs: readonly Program[]): MemoryEstimate {
  const { constants, state, activations, running, base } = programMemory(programs, "stateful");
  const total = constants + 2 * state + activations;
  return { frozen: constants, state: 2 * state, activations, total, process: base + running };
}

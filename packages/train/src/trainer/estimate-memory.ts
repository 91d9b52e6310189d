/** How much memory the programs of a training take, by the model that limits of inference are kept with (`programMemory` in core). */
import { analyze, type Program, sizeOf } from "@dcae/core/graph";
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

/**
 * Of programs that share a state and run one after the other. To tell gigabytes from hundreds of them before a start.
 *
 * @param ranks processes that share the updates: each also holds what it exchanges with the others
 */
export function estimateMemory(programs: readonly Program[], ranks = 1): MemoryEstimate {
  const { constants, state, activations, running, base } = programMemory(programs, "stateful");
  const total = constants + 2 * state + activations;
  const exchanged = ranks === 1 ? 0 : COPIES_EXCHANGED * gradientBytes(programs);
  return { frozen: constants, state: 2 * state, activations, total, process: base + running + exchanged };
}

/** Of each gradient: this rank's own, its place among the blocks of all, and the new weight that comes back. */
const COPIES_EXCHANGED = 3;

function gradientBytes(programs: readonly Program[]): number {
  const summed = programs.flatMap((program) => analyze(program).order.filter(({ op }) => op === "sumOverRanks"));
  return summed.reduce((bytes, { shape }) => bytes + 4 * sizeOf(shape as readonly number[]), 0);
}

/** ", 4 by each of 2 ranks", where there are several. */
export function describeRanks(perUpdate: number, ranks: number): string {
  return ranks === 1 ? "" : `, ${perUpdate / ranks} by each of ${ranks} ranks`;
}

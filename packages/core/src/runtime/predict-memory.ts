/**
 * Memory that the CPU engine takes for a program, predicted from its graph: to load it and to run it once.
 *
 * The graph says how large weights and intermediate values are (program-memory.ts); what the runtime makes of that was
 * measured, on dc-ae-f32c32-in-1.0 at several sizes (test/autoencoders/max-memory.soak.test.ts holds limits to it).
 */
import type { Program } from "../graph/program.js";
import { programMemory } from "./program-memory.js";

/** How the engine runs a program. */
export type ProgramForm =
  /** As it is, weights used where they lie in a file. */
  | "mapped"
  /** As it is, weights of convolutions copied into another layout. */
  | "packed"
  /** Rewritten, its constants in files. */
  | "rewritten";

interface MemoryFactors {
  /** Bytes while a program is loaded, per byte of its constants. */
  readonly loading: number;
  /** The same once it is loaded. */
  readonly constants: number;
  /** Bytes at run time per predicted byte of intermediate values. */
  readonly activations: number;
  /** Blocks below 32 MB that the C library keeps for itself: so much of the intermediate values, up to `MOST_WASTE_BYTES`. */
  readonly waste: number;
}

const MOST_WASTE_BYTES = 128e6;

const FACTORS: Readonly<Record<ProgramForm, MemoryFactors>> = {
  mapped: { loading: 0, constants: 1, activations: 1, waste: 0.7 },
  packed: { loading: 1.55, constants: 1.3, activations: 1.56, waste: 0 },
  // Weights of what stays a direct convolution are copied. The arena takes blocks of doubling sizes.
  rewritten: { loading: 0, constants: 1.1, activations: 2.25, waste: 0 },
};

/**
 * The caller's tensors aren't counted, the copies of inputs that the engine gets are.
 *
 * @param program in the form in which it will run (optimized or not), of static shapes
 */
export function predictMemory(program: Program, form: ProgramForm): number {
  const { constants, activations } = programMemory(program);
  const factors = FACTORS[form];
  const waste = Math.min(MOST_WASTE_BYTES, factors.waste * activations);
  const running = factors.constants * constants + factors.activations * activations + waste;
  return Math.max(factors.loading * constants, running);
}

/** How much memory the programs of a training take, by the model that inference is planned with (`programMemory` in core). */
import { byteSize, type Program, sizeOf } from "@dcae/core/graph";
import { programMemory } from "@dcae/core/runtime";

export interface MemoryEstimate {
  /** Parameters that don't change. */
  readonly frozen: number;
  /** What is updated, twice: an update is written beside what it is computed from. */
  readonly state: number;
  /** Largest sum of the other values that live at one time. */
  readonly activations: number;
  readonly total: number;
}

/**
 * Bytes of the tensors of programs that share a state and run one after the other: of what is computed, not of the process, whose
 * peak also has what the runtime keeps (`Engine.predictMemory` multiplies the same model by that, for inference). To tell gigabytes
 * from hundreds of them before a start.
 */
export function estimateMemory(programs: readonly Program[]): MemoryEstimate {
  const updated = new Set(programs.flatMap((program) => [...program.updates.keys()]));
  const specs = new Map(programs.flatMap((program) => [...program.parameters]));
  let frozen = 0;
  let state = 0;
  for (const { name, shape, dtype } of specs.values()) {
    const bytes = sizeOf(shape) * byteSize(dtype);
    if (updated.has(name)) state += 2 * bytes;
    else frozen += bytes;
  }
  const activations = Math.max(...programs.map((program) => programMemory(program, updated).activations));
  return { frozen, state, activations, total: frozen + state + activations };
}

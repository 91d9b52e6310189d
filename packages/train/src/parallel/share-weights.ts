/** Weights of the first rank on all: where a run starts, is read by one process from one disk. */
import type { WeightEntry, Weights } from "@dcae/core/checkpoint";
import { type Program, Tensor } from "@dcae/core/graph";
import type { Communicator } from "@dcae/core/internal";
import { programParameters } from "../step/training-state.js";

/**
 * @param weights of the first rank, with everything that the programs read; the others' are ignored
 * @returns on the first rank the same, on the others copies in memory
 */
export async function shareWeights(
  ranks: Communicator | undefined,
  programs: readonly Program[],
  weights: Weights,
): Promise<Weights> {
  if (ranks === undefined) return weights;
  const specs = [...programParameters(programs).values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  const received = new Map<string, WeightEntry>();
  for (const { name, dtype, shape } of specs) {
    const own = ranks.rank === 0 ? (await (weights.entries.get(name) as WeightEntry).read()).cast(dtype) : undefined;
    const tensor = own ?? Tensor.zeros(shape, dtype);
    await ranks.broadcast(tensor.bytes);
    if (own === undefined) received.set(name, { name, dtype, shape, read: async () => tensor });
  }
  return ranks.rank === 0 ? weights : { source: ranks.names[0] as string, entries: received, close: async () => {} };
}

/** Of ranks that get theirs from the first. */
export const NO_WEIGHTS: Weights = { source: "the first rank", entries: new Map(), close: async () => {} };

/** The state that training programs need, and its first values. */
import type { WeightEntry, Weights } from "@dcae/core/checkpoint";
import type { ParameterSpec, Program } from "@dcae/core/graph";
import { initializeParameter } from "@dcae/core/models";
import type { Engine, EngineState } from "@dcae/core/runtime";

const AVERAGE = /^ema\.\d+(?:\.\d+)?(?:e-\d+)?\./;

/** All parameters of `programs`, each name once. */
export function programParameters(programs: readonly Program[]): Map<string, ParameterSpec> {
  return new Map(programs.flatMap((program) => [...program.parameters]));
}

/** What changes: the names that any of the programs updates. */
export function updatedNames(programs: readonly Program[]): Set<string> {
  return new Set(programs.flatMap((program) => [...program.updates.keys()]));
}

/**
 * `weights`, with what they lack drawn by the parameters' own rules: a fresh model, moments of 0, averages that start at what
 * they average.
 *
 * @param seed of the fresh parameters
 */
export function completeWeights(programs: readonly Program[], weights: Weights, seed: number): Weights {
  const entries = new Map<string, WeightEntry>(weights.entries);
  const specs = programParameters(programs);
  for (const spec of specs.values()) {
    if (entries.has(spec.name)) continue;
    const averaged = spec.name.replace(AVERAGE, "");
    const source =
      averaged === spec.name ? undefined : (entries.get(averaged) ?? draw(specs.get(averaged) ?? spec, seed));
    entries.set(spec.name, source === undefined ? draw(spec, seed) : { ...source, name: spec.name });
  }
  return { ...weights, entries };
}

function draw(spec: ParameterSpec, seed: number): WeightEntry {
  const { name, dtype, shape } = spec;
  return { name, dtype, shape, read: async () => initializeParameter(spec, seed) };
}

/** Starts a state with everything that the programs update, from (completed) `weights`. */
export function createTrainingState(
  engine: Engine,
  programs: readonly Program[],
  weights: Weights,
): Promise<EngineState> {
  const updated = updatedNames(programs);
  const entries = [...weights.entries].filter(([name]) => updated.has(name));
  return engine.createState({ ...weights, entries: new Map(entries) });
}

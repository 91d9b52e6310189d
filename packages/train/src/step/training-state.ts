/** The state that training programs need, and its first values: fresh, or as a checkpoint left them. */

import { createHash } from "node:crypto";
import type { WeightEntry, Weights } from "@dcae/core/checkpoint";
import { CheckpointError, ConfigError, dtypeKind, type ParameterSpec, type Program } from "@dcae/core/graph";
import { plural } from "@dcae/core/internal";
import { initializeParameter } from "@dcae/core/models";
import type { Engine, EngineState } from "@dcae/core/runtime";
import { OPTIMIZERS } from "../optimizer/optimizers.js";
import type { OpenCheckpoint } from "../trainer/checkpoint.js";

const AVERAGE = /^ema\.\d+(?:\.\d+)?(?:e-\d+)?\./;

/** All parameters of `programs`, each name once. */
export function programParameters(programs: readonly Program[]): Map<string, ParameterSpec> {
  return new Map(programs.flatMap((program) => [...program.parameters]));
}

/** What changes: the names that any of the programs updates. */
function updatedNames(programs: readonly Program[]): Set<string> {
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

/** What training adds to a model, and may draw afresh. */
const TRAINING_STATE = new RegExp(
  `^(${["discriminator", "ema", "accumulated", ...Object.keys(OPTIMIZERS)].join("|")})\\.`,
);

/** Stored halves as what they are computed in: updates of a state keep its types. */
function asComputed(entry: WeightEntry, { dtype }: ParameterSpec): WeightEntry {
  if (entry.dtype === dtype || dtypeKind(entry.dtype) !== "float") return entry;
  return { ...entry, dtype, location: undefined, read: async () => (await entry.read()).cast(dtype) };
}

/**
 * Everything that the programs read: `weights` in the types that they are computed in, completed by fresh training state.
 *
 * @throws ConfigError when a weight of the model (or of a loss) is missing
 */
export function startWeights(programs: readonly Program[], weights: Weights, seed: number): Weights {
  const specs = programParameters(programs);
  const missing = [...specs.keys()].filter((name) => !weights.entries.has(name) && !TRAINING_STATE.test(name));
  if (missing.length > 0) {
    throw new ConfigError(
      `${weights.source}: lacks ${plural(missing.length, "tensor")} that training needs, as "${missing[0]}"`,
    );
  }
  const entries = [...weights.entries].map(([name, entry]): [string, WeightEntry] => {
    const spec = specs.get(name);
    return [name, spec === undefined ? entry : asComputed(entry, spec)];
  });
  return completeWeights(programs, { ...weights, entries: new Map(entries) }, seed);
}

/**
 * `weights` with what the checkpoint saved in place of what they hold.
 *
 * @throws CheckpointError when its tensors aren't exactly those that the programs update
 */
export function restoredWeights(programs: readonly Program[], weights: Weights, checkpoint: OpenCheckpoint): Weights {
  const saved = checkpoint.state.entries;
  const specs = programParameters(programs);
  const updated = updatedNames(programs);
  const wrong = [...new Set([...updated, ...saved.keys()])].filter((name) => {
    const [entry, spec] = [saved.get(name), specs.get(name) ?? weights.entries.get(name)];
    return (
      !updated.has(name) ||
      entry?.dtype !== spec?.dtype ||
      entry?.shape.join() !== spec?.shape.join() ||
      entry === undefined
    );
  });
  if (wrong.length > 0) {
    throw new CheckpointError(
      `${checkpoint.path}: holds the state of another training, which has ${plural(wrong.length, "other tensor")}, as "${wrong[0]}"`,
      { hint: "Resume with the settings that it was made with, or start a new run." },
    );
  }
  return { ...weights, entries: new Map<string, WeightEntry>([...weights.entries, ...saved]) };
}

/** A hash of the tensors that the programs read and don't change: names, types and every byte. */
export async function hashFrozen(programs: readonly Program[], weights: Weights): Promise<string> {
  const updated = updatedNames(programs);
  const hash = createHash("sha256");
  for (const name of [...programParameters(programs).keys()].filter((key) => !updated.has(key)).sort()) {
    const entry = weights.entries.get(name) as WeightEntry;
    hash.update(`${name} ${entry.dtype} ${entry.shape.join()}\n`).update((await entry.read()).bytes);
  }
  return hash.digest("hex");
}

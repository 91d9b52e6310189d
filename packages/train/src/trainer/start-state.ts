/** The state that a run starts from: fresh, or as a checkpoint left it. */
import { createHash } from "node:crypto";
import type { WeightEntry, Weights } from "@dcae/core/checkpoint";
import { CheckpointError, ConfigError, dtypeKind, type ParameterSpec, type Program } from "@dcae/core/graph";
import { completeWeights, programParameters, updatedNames } from "../step/index.js";
import type { OpenCheckpoint } from "./checkpoint.js";

/** What training adds to a model, and may draw afresh. */
const TRAINING_STATE = /^(discriminator|adamw|came|ema|accumulated)\./;

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
    throw new ConfigError(`${weights.source}: lacks ${missing.length} tensors that training needs, as "${missing[0]}"`);
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
      `${checkpoint.path}: holds the state of another training: ${wrong.length} tensors differ, as "${wrong[0]}"`,
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

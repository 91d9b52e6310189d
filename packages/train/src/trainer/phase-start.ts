/** What a phase of a training starts from: the phase before it, a checkpoint, or a fresh model. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { initialWeights, type WeightEntry, type Weights } from "@dcae/core/checkpoint";
import { CheckpointError, ConfigError } from "@dcae/core/graph";
import { type Checkpoint, type OpenOptions, openCheckpoint } from "@dcae/core/internal";
import {
  describePreset,
  getPreset,
  type LatentScaling,
  MODEL_PARTS,
  type ModelDescription,
  modelParameters,
  requireFamily,
  resolveDcAeConfig,
} from "@dcae/core/models";
import { placeOfCheckpoint, type TrainingConfig, type TrainingPhase } from "../configs/schema.js";
import { trainingRule } from "../phases/phase-parameters.js";

/** A DC-AE without its weights. */
export type DcAeDescription = ModelDescription<"dc-ae">;

/** The model that a configuration names. @throws ConfigError when it is no DC-AE */
export function describeModel({ model }: Pick<TrainingConfig, "model">): DcAeDescription {
  if (typeof model !== "string") {
    return { kind: "dc-ae", config: resolveDcAeConfig(model), scalingFactor: null, shiftFactor: null };
  }
  return requireFamily(describePreset(getPreset(model)), "dc-ae", `model: ${model}`, "Only DC-AE is trained here.");
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** What the next phase starts from. */
export const carried = (directory: string, { name, carry }: TrainingPhase) =>
  join(directory, name, carry === "ema" ? "model-ema" : "model");

/** Where a phase starts: weights, and the factors that go with their latents. */
export type PhaseStart = Pick<DcAeDescription, "scalingFactor" | "shiftFactor"> & { readonly weights: Weights };

/**
 * The checkpoint `source`. Its own configuration knows its scaling factor; where it has none or an unusable one, that of the
 * training describes it.
 */
async function openAs(
  model: TrainingConfig["model"],
  source: NonNullable<TrainingConfig["init"]>,
  options: OpenOptions = {},
): Promise<Checkpoint> {
  const { model: path, ...place } = placeOfCheckpoint(source);
  const found = { ...options, ...place };
  try {
    return await openCheckpoint(path, found);
  } catch (error) {
    if (!(error instanceof CheckpointError || error instanceof ConfigError)) throw error;
    return openCheckpoint(path, { ...found, config: model });
  }
}

/** Weights that a fresh model takes over from its teacher. */
interface TakenOver {
  readonly shared: ReadonlyMap<string, WeightEntry>;
  readonly name: string;
}

export interface StartOptions {
  readonly config: TrainingConfig;
  /** Where runs are kept. */
  readonly directory: string;
  readonly open?: OpenOptions | undefined;
  readonly teacher?: TakenOver | null | undefined;
  readonly onMessage?: ((text: string) => void) | undefined;
}

/**
 * What phase number `index` starts from. Close its weights.
 *
 * @throws ConfigError when the phase before it left nothing, or a checkpoint is another model's
 */
export async function openStart(options: StartOptions, index: number, model: DcAeDescription): Promise<PhaseStart> {
  const { config, directory, onMessage } = options;
  const before = config.phases[index - 1];
  const path = before === undefined ? undefined : carried(directory, before);
  const goesOn = path !== undefined && (await exists(path));
  const source = goesOn ? path : config.init;
  if (source !== null) {
    const { model: name } = placeOfCheckpoint(source);
    onMessage?.(`starting from ${name}`);
    const { model: found, weights } = await openAs(config.model, source, goesOn ? {} : options.open);
    const wrong = modelParameters(model).find(
      ({ name: key, shape }) => weights.entries.get(key)?.shape.join() !== shape.join(),
    );
    if (wrong === undefined) return { weights, scalingFactor: found.scalingFactor, shiftFactor: found.shiftFactor };
    await weights.close();
    const there = weights.entries.get(wrong.name)?.shape.join(", ");
    throw new ConfigError(
      `${name}: holds another model than the configuration describes: "${wrong.name}" ` +
        `${there === undefined ? "isn't there" : `is [${there}]`}, expected [${wrong.shape.join(", ")}]`,
    );
  }
  if (before !== undefined) {
    throw new ConfigError(`${config.phases[index]?.name}: there is no model of ${before.name} to start from`, {
      hint: `Run ${before.name} first, or name a checkpoint with \`init\`.`,
    });
  }
  const { shared = new Map(), name } = options.teacher ?? {};
  const halves = MODEL_PARTS.filter((part) => [...shared.keys()].some((key) => key.startsWith(`${part}.`)));
  const taken = halves.length === 0 ? "" : `, with the ${halves.join(" and ")} of ${name}`;
  onMessage?.(`starting from a fresh model of seed ${config.seed}${taken}`);
  const fresh = initialWeights(modelParameters(model), config.seed);
  const weights = { ...fresh, entries: new Map([...fresh.entries, ...shared]) };
  return { weights, scalingFactor: null, shiftFactor: null };
}

/**
 * The factors of the start go on to hold where the encoder doesn't change.
 *
 * @param given those of a teacher's latents, which the model's are to be
 */
export function describeResult(
  { config }: DcAeDescription,
  phase: TrainingPhase,
  start: PhaseStart,
  given?: LatentScaling,
): DcAeDescription {
  if (given !== undefined) return { kind: "dc-ae", config, ...given };
  const trains = trainingRule(phase, config);
  const unknown = { kind: "dc-ae", config, scalingFactor: null, shiftFactor: null } as const;
  const moves = modelParameters(unknown).some(({ name }) => name.startsWith("encoder.") && trains(name));
  return moves ? unknown : { ...unknown, scalingFactor: start.scalingFactor, shiftFactor: start.shiftFactor };
}

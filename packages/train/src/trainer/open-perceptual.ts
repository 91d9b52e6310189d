/** Opens what a training's perceptual loss compares pictures with: the files of LPIPS, or a network that the user has. */
import { openLayersModel, type WeightEntry, type Weights } from "@dcae/core/checkpoint";
import { CheckpointError, errorAs } from "@dcae/core/graph";
import { layersNetwork } from "@dcae/core/nets";
import { failClosed } from "@dcae/core/runtime";
import type { TrainingConfig } from "../configs/schema.js";
import { FEATURES_SCOPE, featurePerceptual, lpipsPerceptual, type Perceptual } from "../phases/perceptual.js";
import { openLpipsWeights } from "./open-lpips-weights.js";

/** A perceptual loss with its weights, as programs of training name them. */
export interface OpenPerceptual {
  readonly perceptual: Perceptual;
  readonly weights: Weights;
}

/** Whether a phase of the training has a perceptual loss. */
export function wantsPerceptual({ perceptual, phases }: Pick<TrainingConfig, "perceptual" | "phases">): boolean {
  return perceptual !== "none" && phases.some(({ lpipsWeight }) => lpipsWeight !== 0);
}

/**
 * The perceptual loss that a training names, without its weights where those are LPIPS'; null where no phase has one.
 *
 * @throws CheckpointError, ConfigError when the network can't be used
 */
export async function describePerceptual(
  config: Pick<TrainingConfig, "perceptual" | "phases">,
): Promise<Perceptual | null> {
  if (config.perceptual === "none" || !wantsPerceptual(config)) return null;
  if (!("network" in config.perceptual)) return lpipsPerceptual();
  const { perceptual, weights } = await openNetwork(config.perceptual);
  await weights.close();
  return perceptual;
}

/**
 * Opens it. Close the weights.
 *
 * @throws CheckpointError when a file isn't given, can't be read, or isn't what it should be; ConfigError for layers that aren't there
 */
export async function openPerceptual(settings: Exclude<TrainingConfig["perceptual"], "none">): Promise<OpenPerceptual> {
  if ("network" in settings) return openNetwork(settings);
  return { perceptual: lpipsPerceptual(), weights: await openLpipsWeights(settings) };
}

type NetworkSettings = Extract<TrainingConfig["perceptual"], { network: string }>;

async function openNetwork({ network: path, layers, range }: NetworkSettings): Promise<OpenPerceptual> {
  const model = await openLayersModel(path).catch((error) => {
    throw errorAs(error, CheckpointError, "perceptual: ");
  });
  try {
    const network = layersNetwork(model);
    const below = [...network.weights.entries.values()].map((entry): [string, WeightEntry] => {
      const name = `${FEATURES_SCOPE}.${entry.name}`;
      return [name, { ...entry, name }];
    });
    return {
      perceptual: featurePerceptual(network, { layers, range }),
      weights: { ...network.weights, entries: new Map(below) },
    };
  } catch (error) {
    return failClosed(error, [() => model.weights.close()]);
  }
}

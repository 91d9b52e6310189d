/** The network that a training is about: what its configuration says, completed by what the latents say. */
import { stat } from "node:fs/promises";
import { isAbsolute, relative } from "node:path";
import { ConfigError } from "@dcae/core";
import { rethrowAs } from "@dcae/core/graph";
import {
  type DenoiserDescription,
  denoiserPreset,
  type LatentDataset,
  type ParsedDenoiser,
  parseOfficialDenoiser,
} from "@dcae/diffusion";
import { chooseLabels, chooseSampler, nullLabel } from "@dcae/diffusion/internal";
import type { DiffusionConfig } from "./diffusion-config.js";
import type { TrainingLatents } from "./training-latents.js";

/** What the network must know of its latents. */
export interface LatentFacts extends Pick<LatentDataset, "shape" | "folder"> {
  readonly classes: { readonly length: number };
}

/** Whether the configuration says all by itself, so that it can be planned without latents. */
export function isSelfContained({ denoiser: { model } }: DiffusionConfig): boolean {
  return ["in_channels", "input_size", "num_classes"].every((key) => model[key] !== undefined);
}

/**
 * The network and its recipe.
 *
 * @param latents may be left out where the configuration is self-contained
 * @throws ConfigError when configuration and latents contradict each other
 */
export function describeNetwork({ denoiser }: DiffusionConfig, latents?: LatentFacts): ParsedDenoiser {
  if (latents !== undefined && latents.shape[1] !== latents.shape[2]) {
    throw new ConfigError(
      `${latents.folder}: latents are [${latents.shape.join(", ")}], but diffusion models take squares`,
      {
        hint: "Write them again with square pictures, as `dcae latents` does.",
      },
    );
  }
  const facts =
    latents === undefined
      ? {}
      : { in_channels: latents.shape[0], input_size: latents.shape[1], num_classes: latents.classes.length };
  for (const [key, value] of Object.entries(facts)) {
    const said = denoiser.model[key];
    if (said === undefined || said === value || (key === "num_classes" && said === 0)) continue;
    throw new ConfigError(`denoiser.model.${key} is ${JSON.stringify(said)}, but ${latents?.folder} has ${value}`, {
      hint: "Leave it out: it follows from the latents.",
    });
  }
  const model = { ...facts, ...denoiser.model };
  if ("arch" in denoiser) return parseOfficialDenoiser(denoiser.arch, model, "denoiser.model");
  const number = (key: string) => {
    const value = model[key as keyof typeof model];
    return typeof value === "number" ? value : 1;
  };
  const patchSize = number("patch_size");
  const format = { channels: number("in_channels"), side: number("input_size"), patchSize, resolution: 0 };
  return denoiserPreset(denoiser.size, format, { ...model, patch_size: patchSize });
}

/**
 * The description that is saved with the model, in `folder`.
 *
 * An autoencoder on disk is named relative to that folder, so that both can be moved together.
 */
export async function describeResult(
  network: ParsedDenoiser,
  config: DiffusionConfig,
  { latents, channelScale }: Pick<TrainingLatents, "latents" | "channelScale">,
  folder: string,
): Promise<DenoiserDescription> {
  const { scalingFactor, shiftFactor, classes } = latents;
  const named = config.autoencoder ?? latents.source;
  const isLocal =
    named !== null &&
    (await stat(named).then(
      () => true,
      () => false,
    ));
  const way = isLocal ? relative(folder, named) : named;
  const autoencoder = way === null || !isLocal || isAbsolute(way) || way.startsWith("..") ? way : `./${way}`;
  return {
    ...network,
    autoencoder,
    scalingFactor,
    shiftFactor: shiftFactor ?? 0,
    classes: network.config.numClasses === 0 ? null : classes,
    ...(channelScale === undefined ? {} : { channels: channelScale }),
  };
}

/**
 * Refuses what a run would only fail on when it first shows samples, hours after its start: a sampler of another objective, classes
 * that don't exist, guidance without a null class.
 *
 * @param classes names of the classes; undefined where the latents aren't there yet, so that labels aren't checked
 * @throws ConfigError naming the setting
 */
export function checkSamples(
  { config, recipe }: ParsedDenoiser,
  { samples }: DiffusionConfig,
  classes: readonly string[] | undefined,
): void {
  if (samples === null) return;
  const { sampler, steps, guidance, labels } = samples;
  rethrowAs(ConfigError, "samples: ", () => chooseSampler(recipe, sampler ?? undefined, steps ?? undefined));
  if (guidance !== 1 && nullLabel(config) === undefined) {
    throw new ConfigError(`samples.guidance is ${guidance}, but this model has no null class to guide away from`, {
      hint: "Set it to 1.",
    });
  }
  if (labels === null || classes === undefined) return;
  chooseLabels({ config, classes }, labels.map(String), "samples.labels");
}

/**
 * What a run would only fail on when it first shows samples, hours after its start: a sampler of another objective, classes that
 * don't exist, guidance without a null class.
 */
import { ConfigError } from "@dcae/core";
import { rethrowAs } from "@dcae/core/graph";
import type { ParsedDenoiser } from "@dcae/diffusion";
import { chooseLabels, chooseSampler, nullLabel } from "@dcae/diffusion/internal";
import type { DiffusionConfig } from "./diffusion-config.js";

/**
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

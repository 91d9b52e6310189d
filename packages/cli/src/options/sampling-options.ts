/** The options that say how a diffusion model samples, and what its latents are decoded with. */
import { SAMPLERS, type SampleOptions, type SamplerName } from "@dcae/diffusion";
import { type Command, Option } from "commander";
import { UsageError } from "../usage-error.js";
import {
  parseCount,
  parseInterval,
  parseNonNegative,
  parseNumber,
  parsePositiveNumber,
  parseSeed,
} from "./parse-values.js";

export interface SamplingFlags {
  readonly cfg: number;
  readonly guidanceInterval?: readonly [low: number, high: number];
  readonly guidanceChannels?: number;
  readonly sampler?: SamplerName;
  readonly steps?: number;
  readonly seed?: bigint;
  readonly autoencoder?: string;
  readonly scalingFactor?: number;
  readonly shiftFactor?: number;
}

export function addSamplingOptions(command: Command): Command {
  return command
    .option(
      "--cfg <scale>",
      "scale of classifier-free guidance; 1 is none, 0 leaves the class out",
      parseNonNegative,
      1,
    )
    .option(
      "--guidance-interval <low,high>",
      "model times between which guidance acts (default: always)",
      parseInterval,
    )
    .option("--guidance-channels <n>", "how many of the first channels are guided (default: all)", parseCount)
    .addOption(
      new Option("--sampler <name>", "default: the one that the model was published with").choices([...SAMPLERS]),
    )
    .option("--steps <n>", "steps of the sampler (default: the sampler's own)", parseCount)
    .option("--seed <n>", "of the noise (default: 0)", parseSeed);
}

export function addDecoderOptions(command: Command): Command {
  return command
    .option("--autoencoder <model>", "decodes with this one instead of the model's own")
    .option(
      "--scaling-factor <x>",
      "what latents were multiplied by, instead of the model's factor",
      parsePositiveNumber,
    )
    .option("--shift-factor <x>", "what was subtracted from latents before, instead of the model's", parseNumber);
}

/** @throws UsageError for options without effect */
export function checkSamplingFlags({ cfg, guidanceInterval, guidanceChannels }: SamplingFlags): void {
  if (cfg === 1 && (guidanceInterval !== undefined || guidanceChannels !== undefined)) {
    throw new UsageError(
      "--guidance-interval and --guidance-channels have no effect without guidance, as of --cfg 1.5",
    );
  }
}

/** What the pipeline is told. */
export function samplingOptions(flags: SamplingFlags): SampleOptions {
  const { cfg, guidanceInterval, guidanceChannels, sampler, steps, seed } = flags;
  return {
    guidance: cfg,
    ...(guidanceInterval === undefined ? {} : { guidanceInterval }),
    ...(guidanceChannels === undefined ? {} : { guidanceChannels }),
    ...(sampler === undefined ? {} : { sampler }),
    ...(steps === undefined ? {} : { steps }),
    ...(seed === undefined ? {} : { seed }),
  };
}

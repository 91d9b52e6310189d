/** The options of commands that sample diffusion models: which model, how, and what decodes; and loading it with them. */
import { ConfigError } from "@dcae/core";
import { parseModelConfig, readSmallFile } from "@dcae/core/checkpoint";
import { errorMessage, rethrowAs } from "@dcae/core/graph";
import { unlessAborted } from "@dcae/core/internal";
import type { Form } from "@dcae/core/runtime";
import {
  ClassConditionalPipeline,
  type DenoiserDescription,
  type OpenDenoiserOptions,
  SAMPLERS,
  type SampleOptions,
  type SamplerName,
} from "@dcae/diffusion";
import { BUNDLED_DENOISERS, type ChosenLabel, chooseLabels, NULL_CLASS, nullLabel } from "@dcae/diffusion/internal";
import { type Command, Option } from "commander";
import type { CliIo } from "../cli-io.js";
import { UsageError } from "../errors.js";
import { type EngineFlags, parseForm } from "./engine-options.js";
import { type HubFlags, hubOptions } from "./model-options.js";
import {
  parseCount,
  parseInterval,
  parseNonNegative,
  parseNumber,
  parsePositiveNumber,
  parseSeed,
} from "./parse-values.js";

export interface DenoiserFlags extends HubFlags {
  readonly model: string;
}

/** Configurations have a few kilobytes. */
const MAX_CONFIG_BYTES = 4_000_000;

/** Adds --model and what says how it is found. */
export function addDenoiserOptions(command: Command): Command {
  return addDenoiserFileOptions(
    command.addOption(
      new Option(
        "-m, --model <model>",
        `repository of the Hugging Face hub, folder, weight file (also of torch.save), name of a published diffusion model, or ${BUNDLED_DENOISERS.map((name) => `"${name}"`).join(" or ")}, which come with dcae`,
      ).makeOptionMandatory(),
    ),
  );
}

/** Adds what says how the model is found. */
export function addDenoiserFileOptions(command: Command): Command {
  return command
    .option("--config <file>", "the model's config.json, for weights that come without or with a wrong one")
    .option("--revision <name>", "branch, tag or commit on the hub")
    .option("--subfolder <path>", "folder inside of the repository or local folder")
    .option("--offline", "make no requests, use the cache only (or set HF_HUB_OFFLINE=1)")
    .option("--cache-dir <dir>", "cache folder of the hub (default: that of the Hugging Face libraries)");
}

/** Options for `openDenoiser` and the pipeline; downloads show on the progress line. */
export async function denoiserOptions(flags: HubFlags, io: CliIo): Promise<OpenDenoiserOptions> {
  const { config } = flags;
  return { ...hubOptions(flags, io), denoiser: config === undefined ? undefined : await readConfig(config) };
}

async function readConfig(path: string): Promise<Readonly<Record<string, unknown>>> {
  const bytes = await readSmallFile(path, MAX_CONFIG_BYTES);
  try {
    return parseModelConfig(bytes, path);
  } catch (error) {
    throw new ConfigError(`--config ${errorMessage(error)}`, { cause: error });
  }
}

// How it samples, and what decodes its latents.

export interface SamplingFlags {
  readonly cfg: number;
  readonly guidanceInterval?: readonly [low: number, high: number];
  readonly guidanceChannels?: number;
  readonly latentChannels?: number;
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
    .option(
      "--latent-channels <n>",
      "adaptive models (DC-AE 1.5): sample and decode only the first channels",
      parseCount,
    )
    .addOption(
      new Option("--sampler <name>", "how steps are taken (default: as the model was published)").choices([
        ...SAMPLERS,
      ]),
    )
    .option("--steps <n>", "steps of the sampler (default: the sampler's own)", parseCount)
    .option("--seed <n>", "of the noise (default: 0)", parseSeed);
}

/** @param several whether several autoencoders may decode the same samples */
export function addDecoderOptions(command: Command, several = false): Command {
  const instead = "decodes with this one instead of the model's own";
  return command
    .option(
      several ? "--autoencoder <model...>" : "--autoencoder <model>",
      several ? `${instead}; with several, each decodes the same samples` : instead,
    )
    .option(
      "--scaling-factor <x>",
      "of the latents, (z - shift) * factor: this factor instead of the model's",
      parsePositiveNumber,
    )
    .option("--shift-factor <x>", "of the latents: this shift instead of the model's", parseNumber);
}

/** @throws UsageError for options without effect */
export function checkSamplingFlags({
  cfg,
  guidanceInterval,
  guidanceChannels,
}: Omit<SamplingFlags, "autoencoder">): void {
  if (cfg === 1 && (guidanceInterval !== undefined || guidanceChannels !== undefined)) {
    throw new UsageError(
      "--guidance-interval and --guidance-channels have no effect without guidance, as of --cfg 1.5",
    );
  }
}

/** What the pipeline is told. */
export function samplingOptions(flags: Omit<SamplingFlags, "autoencoder">): SampleOptions {
  const { cfg, guidanceInterval, guidanceChannels, latentChannels, sampler, steps, seed } = flags;
  return {
    guidance: cfg,
    ...(guidanceInterval === undefined ? {} : { guidanceInterval }),
    ...(guidanceChannels === undefined ? {} : { guidanceChannels }),
    ...(latentChannels === undefined ? {} : { latentChannels }),
    ...(sampler === undefined ? {} : { sampler }),
    ...(steps === undefined ? {} : { steps }),
    ...(seed === undefined ? {} : { seed }),
  };
}

// Loading.

type PipelineFlags = DenoiserFlags & EngineFlags & Pick<SamplingFlags, "autoencoder" | "scalingFactor" | "shiftFactor">;

/** @param latentsOnly leaves the autoencoder out */
async function openPipeline(
  form: Form,
  flags: PipelineFlags,
  latentsOnly: boolean,
  io: CliIo,
): Promise<ClassConditionalPipeline> {
  const { device, threads, autoencoder, scalingFactor, shiftFactor } = flags;
  io.progress.show({ label: "loading", done: 0, total: 1, detail: flags.model });
  const options = {
    ...(await denoiserOptions(flags, io)),
    device,
    form,
    ...(threads === undefined ? {} : { threads }),
    autoencoder: latentsOnly ? null : autoencoder,
    scalingFactor,
    shiftFactor,
  };
  const loading = ClassConditionalPipeline.fromPretrained(flags.model, options);
  return unlessAborted(loading, io.signal).catch((error: unknown) => {
    // Who gave up doesn't wait for what is still being opened; its files are closed as soon as they are there.
    loading.then((pipeline) => pipeline.dispose()).catch(() => undefined);
    throw error;
  });
}

/** Loads a pipeline, lets `work` use it, and frees it. */
export async function withPipeline<T>(
  flags: PipelineFlags,
  latentsOnly: boolean,
  io: CliIo,
  work: (pipeline: ClassConditionalPipeline, form: Form) => Promise<T>,
): Promise<T> {
  const form = parseForm(flags);
  const pipeline = await openPipeline(form, flags, latentsOnly, io);
  try {
    return await work(pipeline, form);
  } finally {
    io.progress.clear();
    // After an interruption there may be a computation that this would wait for.
    if (!io.signal.aborted) await pipeline.dispose();
  }
}

// Labels.

/** What `--labels` means. @throws UsageError for what is neither a class nor a number, and for models without classes */
export function labelsOf(
  description: Pick<DenoiserDescription, "config" | "classes">,
  texts: readonly string[],
): ChosenLabel[] {
  return rethrowAs(UsageError, "", () => chooseLabels(description, texts, "--labels"));
}

/** What a pipeline is told for a label: it takes the null class by name only. */
export function pipelineLabel({ config }: Pick<DenoiserDescription, "config">, label: number): number | string {
  return label === nullLabel(config) ? NULL_CLASS : label;
}

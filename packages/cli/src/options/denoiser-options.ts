/** The options that choose a diffusion model, and what its files are read with. */
import { ConfigError } from "@dcae/core";
import { parseModelConfig, readSmallFile } from "@dcae/core/checkpoint";
import { errorMessage } from "@dcae/core/graph";
import type { OpenDenoiserOptions } from "@dcae/diffusion";
import { BUNDLED_DENOISER } from "@dcae/diffusion/internal";
import { type Command, Option } from "commander";
import type { CliIo } from "../cli-io.js";
import { type HubFlags, hubOptions } from "./model-options.js";

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
        `repository of the Hugging Face hub, folder, weight file (also of torch.save), name of a published diffusion model, or "${BUNDLED_DENOISER}", which comes with dcae`,
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

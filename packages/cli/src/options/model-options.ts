/** The options that choose a model, configurations from files, and opening it. */
import { stat } from "node:fs/promises";
import { CheckpointError, ConfigError, DataError } from "@dcae/core";
import { parseModelConfig, readSmallFile } from "@dcae/core/checkpoint";
import { rethrowAs } from "@dcae/core/graph";
import { BUNDLED_MODEL, type Checkpoint, type OpenOptions, openCheckpoint } from "@dcae/core/internal";
import {
  type DcAeConfig,
  describePreset,
  findPreset,
  getPreset,
  type ModelDescription,
  type Preset,
  parseOfficialConfig,
  readModelConfig,
  resolveDcAeConfig,
} from "@dcae/core/models";
import { type Command, Option } from "commander";
import type { CliIo } from "../cli-io.js";
import { UsageError } from "../errors.js";

export interface HubFlags {
  readonly config?: string;
  readonly revision?: string;
  readonly subfolder?: string;
  readonly offline?: boolean;
  readonly cacheDir?: string;
}

export interface ModelFlags extends HubFlags {
  readonly model: string;
}

export function modelOption(flags = "-m, --model <model>"): Option {
  return new Option(
    flags,
    `repository of the Hugging Face hub, folder, weight file, name of a published model, or "${BUNDLED_MODEL}", which comes with dcae`,
  ).makeOptionMandatory();
}

/** Adds what says how the model is found: hub, cache, configuration. */
export function addHubOptions(command: Command): Command {
  return command
    .option("--config <preset|file>", "the model's configuration, for weights that come without or with a wrong one")
    .option("--revision <name>", "branch, tag or commit on the hub")
    .option("--subfolder <path>", "folder inside of the repository or local folder")
    .addOption(offlineOption())
    .addOption(cacheDirOption());
}

export function offlineOption(): Option {
  return new Option("--offline", "make no requests, use the cache only (or set HF_HUB_OFFLINE=1)");
}

export function cacheDirOption(): Option {
  return new Option("--cache-dir <dir>", "cache folder of the hub (default: that of the Hugging Face libraries)");
}

/** Options for `openCheckpoint` and `loadAutoencoder`; downloads show on the progress line. */
export async function openOptions(flags: HubFlags, io: CliIo): Promise<OpenOptions> {
  const config = flags.config === undefined ? undefined : await chooseConfig(flags.config);
  return { ...hubOptions(flags, io), config };
}

/** What all models are fetched with. */
export function hubOptions(flags: HubFlags, io: CliIo): Omit<OpenOptions, "config"> {
  return {
    revision: flags.revision,
    subfolder: flags.subfolder,
    offline: flags.offline,
    cacheDir: flags.cacheDir,
    signal: io.signal,
    onNotice: (notice) => io.note(`dcae: ${notice}`),
    onProgress: ({ file, loadedBytes, totalBytes }) =>
      io.progress.show({ label: "download", done: loadedBytes, total: totalBytes, unit: "bytes", detail: file }),
  };
}

async function chooseConfig(nameOrFile: string): Promise<OpenOptions["config"]> {
  const model = await describeConfig("--config", nameOrFile);
  return model.preset ?? model;
}

/**
 * The model that an option names: a preset, or a file with a configuration.
 *
 * @throws UsageError for no such preset; DataError and ConfigError for a file
 */
export async function describeConfig(option: string, nameOrFile: string): Promise<ModelDescription> {
  const preset = findPreset(nameOrFile);
  if (preset !== undefined) return describePreset(preset);
  // Without a slash or an ending it is no file: the list of presets says more.
  if (!/[/\\.]/.test(nameOrFile)) return describePreset(presetOf(option, nameOrFile));
  return readConfigFile(nameOrFile);
}

/** The preset that an option names; UsageError with the list otherwise. */
export function presetOf(option: string, name: string): Preset {
  return rethrowAs(UsageError, `${option}: `, () => getPreset(name));
}

/**
 * Checks options about the hub. `--offline` may stay: that no request is made is true of local models.
 *
 * @throws UsageError for those that have no effect on a model that is on this machine
 */
export async function checkPlace(name: string, { revision, cacheDir, subfolder }: HubFlags): Promise<void> {
  const status = await stat(name).catch(() => undefined);
  if (status === undefined && name !== BUNDLED_MODEL) return;
  const isFile = status?.isFile() ?? false;
  const useless =
    revision !== undefined
      ? "--revision"
      : cacheDir !== undefined
        ? "--cache-dir"
        : isFile && subfolder !== undefined
          ? "--subfolder"
          : undefined;
  if (useless !== undefined)
    throw new UsageError(`${useless} has no effect on ${name}, a local ${isFile ? "file" : "folder"}`);
}

/** Opens the checkpoint without an engine. Close its `weights`. */
export async function openModel(model: string, flags: HubFlags, io: CliIo): Promise<Checkpoint> {
  try {
    await checkPlace(model, flags);
    return await openCheckpoint(model, await openOptions(flags, io));
  } finally {
    io.progress.clear();
  }
}

// A configuration from a JSON file in any of the known forms.

/** Configurations have a few kilobytes. */
const MAX_BYTES = 4_000_000;

/**
 * Reads a configuration: a config.json of either published format, or a bare DC-AE configuration with the official
 * constructor's names (`latent_channels`, `encoder: { width_list: [...] }`) or those of `@dcae/core` (`latentChannels`...).
 *
 * @throws DataError when the file can't be read, ConfigError naming what is wrong in it
 */
export async function readConfigFile(path: string): Promise<ModelDescription> {
  const json = await readObject(path);
  if ("_class_name" in json || "model_name" in json || "config" in json) return readModelConfig(json, path);
  const config = isCamelCase(json) ? resolve(json, path) : parseOfficialConfig(json, path);
  return { kind: "dc-ae", config, scalingFactor: null, shiftFactor: null };
}

async function readObject(path: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return parseModelConfig(await readSmallFile(path, MAX_BYTES), path);
  } catch (error) {
    // The reader speaks of checkpoints; for a configuration the same lines are data errors.
    if (!(error instanceof CheckpointError)) throw error;
    throw new DataError(error.message, { cause: error, ...(error.hint === undefined ? {} : { hint: error.hint }) });
  }
}

function isCamelCase(json: Readonly<Record<string, unknown>>): boolean {
  const keys = [json, json.encoder, json.decoder].flatMap((part) =>
    typeof part === "object" && part !== null ? Object.keys(part) : [],
  );
  return keys.some((key) => /[a-z][A-Z]/.test(key));
}

function resolve(json: Readonly<Record<string, unknown>>, path: string): DcAeConfig {
  try {
    return resolveDcAeConfig(json);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(`${path}: ${error.message}`, { cause: error });
  }
}

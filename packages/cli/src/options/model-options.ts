/** The options that choose a model, and opening it. */
import { stat } from "node:fs/promises";
import { bundledModelPath, DataError } from "@dcae/core";
import { rethrowAs } from "@dcae/core/graph";
import { BUNDLED_MODEL, type Checkpoint, type OpenOptions, openCheckpoint } from "@dcae/core/internal";
import { findPreset, getPreset, type Preset, presetHubId } from "@dcae/core/models";
import { type Command, Option } from "commander";
import type { CliIo } from "../cli-io.js";
import { readConfigFile } from "../files/read-config-file.js";
import { UsageError } from "../usage-error.js";

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
  if (findPreset(nameOrFile) !== undefined) return nameOrFile;
  // Without a slash or an ending it is no file: the list of presets says more.
  if (!/[/\\.]/.test(nameOrFile)) return presetOf("--config", nameOrFile).name;
  const model = await readConfigFile(nameOrFile);
  return model.preset ?? model;
}

/** The preset that an option names; UsageError with the list otherwise. */
export function presetOf(option: string, name: string): Preset {
  return rethrowAs(UsageError, `${option}: `, () => getPreset(name));
}

/**
 * What a user calls a model as `openCheckpoint` takes it: names of published models become their repository.
 *
 * @throws UsageError for options about the hub with a model that isn't there
 */
export async function modelSource(name: string, flags: HubFlags): Promise<string> {
  const status = await stat(name).catch(() => undefined);
  if (status !== undefined) {
    checkLocal(name, status.isFile(), flags);
    return name;
  }
  if (/[/\\]/.test(name)) return name;
  if (name === BUNDLED_MODEL) {
    checkLocal(name, false, flags);
    return bundledModelPath();
  }
  // A single word that isn't on disk can only be a published model's name.
  const preset = rethrowAs(DataError, `${name}: no such file or folder, and `, () => getPreset(name));
  return presetHubId(preset, name.toLowerCase().endsWith("-diffusers") ? "diffusers" : undefined);
}

/** `--offline` may stay: that no request is made is true of local models. */
function checkLocal(name: string, isFile: boolean, { revision, cacheDir, subfolder }: HubFlags): void {
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
    return await openCheckpoint(await modelSource(model, flags), await openOptions(flags, io));
  } finally {
    io.progress.clear();
  }
}

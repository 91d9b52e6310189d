/** The options of commands that write a checkpoint. */
import type { SaveOptions } from "@dcae/core";
import { STORAGE_DTYPES, type StorageDType } from "@dcae/core/internal";
import { CHECKPOINT_FORMATS, type CheckpointFormat, checkpointFormats, type ModelDescription } from "@dcae/core/models";
import { type Command, Option } from "commander";
import type { CliIo } from "../cli-io.js";

export interface SaveFlags {
  readonly format?: CheckpointFormat;
  readonly dtype?: StorageDType;
  readonly overwrite?: boolean;
}

/** Adds --format, --dtype and --overwrite. */
export function addSaveOptions(command: Command, format: Option = formatOption()): Command {
  return command
    .addOption(format)
    .addOption(new Option("--dtype <type>", "type that weights are stored in").choices([...STORAGE_DTYPES]))
    .option("--overwrite", "replace a folder that isn't empty (files other than the checkpoint's stay)");
}

export function formatOption(): Option {
  return new Option(
    "--format <format>",
    "layout: the authors' or that of the diffusers library (default: official for DC-AE, diffusers for others)",
  ).choices([...CHECKPOINT_FORMATS]);
}

/** The format that a model is saved in when none is asked for. */
export function defaultFormat({ kind }: ModelDescription): CheckpointFormat {
  return checkpointFormats(kind)[0] as CheckpointFormat;
}

/** Options for `saveCheckpoint`. */
export function saveOptions({ format, dtype, overwrite }: SaveFlags, io: CliIo): SaveOptions {
  return {
    format,
    dtype,
    overwrite,
    signal: io.signal,
    onProgress: ({ name, writtenBytes, totalBytes }) =>
      io.progress.show({ label: "write", done: writtenBytes, total: totalBytes, unit: "bytes", detail: name }),
  };
}

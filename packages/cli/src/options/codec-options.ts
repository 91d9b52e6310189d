/** Options that several commands have about what goes through a model, and about checkpoints that are written. */
import type { SaveOptions } from "@dcae/core";
import { SIZE_POLICIES, type SizePolicy } from "@dcae/core/image";
import { STORAGE_DTYPES, type StorageDType } from "@dcae/core/internal";
import { CHECKPOINT_FORMATS, type CheckpointFormat, checkpointFormats, type ModelDescription } from "@dcae/core/models";
import { type Command, Option } from "commander";
import type { CliIo } from "../cli-io.js";
import { parseCount, parseMemory, parseNumber, parsePositiveNumber, parseSize, type Size } from "./parse-values.js";

export interface PictureFlags {
  readonly size?: Size;
  /** Without it, pictures that need one are asked about. */
  readonly sizePolicy?: SizePolicy;
  readonly skipErrors?: boolean;
}

/** Adds what says how pictures become input. */
export function addPictureOptions(command: Command): Command {
  return command
    .option(
      "--size <n|WxH>",
      "scale and cut pictures to this size first, as the reference's evaluation does",
      parseSize,
    )
    .addOption(
      new Option(
        "--size-policy <policy>",
        "what to do with pictures whose sides aren't multiples of the compression; error leaves those out (default: to ask " +
          "before anything is computed)",
      ).choices([...SIZE_POLICIES]),
    )
    .addOption(skipErrorsOption());
}

/** Whether pictures of other sizes are asked about; who leaves out what can't be used has been asked. */
export function asksForSizePolicy({ sizePolicy, skipErrors = false }: PictureFlags): boolean {
  return sizePolicy === undefined && !skipErrors;
}

/** Adds what latents' scale is about. */
export function addScaleOptions(command: Command, scaledHelp: string): Command {
  return command
    .option("--scaled", scaledHelp)
    .option(
      "--scaling-factor <x>",
      "with --scaled, which is (z - shift) * factor: this factor instead of the model's",
      parsePositiveNumber,
    )
    .option("--shift-factor <x>", "with --scaled: this shift instead of the model's", parseNumber);
}

export function skipErrorsOption(): Option {
  return new Option(
    "--skip-errors",
    "exit with 0 even if some inputs could not be used (they are named and counted either way)",
  );
}

export function batchSizeOption(): Option {
  return new Option("--batch-size <n>", "items of one size that go through the model together")
    .argParser(parseCount)
    .default(1);
}

export function tiledOption(): Option {
  return new Option("--tiled", "in overlapping tiles that are blended: less memory, a slightly different result");
}

export function maxMemoryOption(): Option {
  return new Option(
    "--max-memory <size>",
    "memory that the process may take, as in 4GB: larger pictures run in tiles, where the model allows them, with the same result (on the CPU)",
  ).argParser(parseMemory);
}

// Checkpoints that are written.

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

/** @param preset what is taken where it isn't given */
export function formatOption(preset = " (default: official for DC-AE, diffusers for others)"): Option {
  const help = `layout: the authors' or that of the diffusers library${preset}`;
  return new Option("--format <format>", help).choices([...CHECKPOINT_FORMATS]);
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

/** Options that several commands have about what goes through a model. */
import { SIZE_POLICIES, type SizePolicy } from "@dcae/core/image";
import { type Command, Option } from "commander";
import { parseCount, parseMemory, parseNumber, parsePositiveNumber, parseSize, type Size } from "./parse-values.js";

export interface PictureFlags {
  readonly size?: Size;
  readonly sizePolicy: SizePolicy;
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
      new Option("--size-policy <policy>", "what to do with sides that aren't multiples of the compression")
        .choices([...SIZE_POLICIES])
        .default("error"),
    )
    .addOption(skipErrorsOption());
}

/** Adds what latents' scale is about. */
export function addScaleOptions(command: Command, scaledHelp: string): Command {
  return command
    .option("--scaled", scaledHelp)
    .option(
      "--scaling-factor <x>",
      "with --scaled: multiply by this instead of the model's factor",
      parsePositiveNumber,
    )
    .option("--shift-factor <x>", "with --scaled: subtract this first instead of the model's", parseNumber);
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
    "memory that the process may take, as in 4GB: larger pictures run in tiles, with the same result (DC-AE, on the CPU)",
  ).argParser(parseMemory);
}

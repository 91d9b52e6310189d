/** `dcae eval merge`: statistics of shards to those of the whole. */
import { realpath } from "node:fs/promises";
import { mergeStatistics } from "@dcae/eval";
import { Command } from "commander";
import type { CliIo } from "../../cli-io.js";
import { prepareOutFile } from "../../files/output-target.js";
import { plural } from "../../format-number.js";
import { UsageError } from "../../usage-error.js";
import { addExamples } from "../command-group.js";

interface EvalMergeFlags {
  readonly out: string;
  readonly json?: boolean;
}

export function evalMergeCommand(io: CliIo): Command {
  const command = new Command("merge")
    .summary("statistics of shards to those of the whole")
    .description(
      "Joins files of `dcae eval stats --shard`. The result equals the statistics of all pictures in one run, to the last bit " +
        "of the sums. Files of different protocols, networks or sets are refused, and so is a shard that is there twice.",
    )
    .argument("<files...>", "the .npz files of the shards")
    .option("-o, --out <file>", "the .npz file to write", "merged.npz")
    .option("--json", "print the result as JSON");
  addExamples(command, [
    { does: "four shards", command: "dcae eval merge 1.npz 2.npz 3.npz 4.npz -o imagenet-512.npz" },
  ]);
  return command.action((files: string[], flags: EvalMergeFlags) => merge(files, flags, io));
}

async function merge(files: readonly string[], flags: EvalMergeFlags, io: CliIo): Promise<void> {
  const out = await prepareOutFile(flags.out, ".npz");
  await refuseInput(out, files);
  io.progress.show({ label: "merge", done: 0, total: files.length });
  const { count, shards, warnings } = await mergeStatistics(files, out);
  io.progress.clear();
  const parts = shards.map(({ index, of }) => `${index + 1}/${of}`);
  if (flags.json === true) {
    io.out(JSON.stringify({ out, count, shards: parts, warnings }, undefined, 2));
    return;
  }
  io.out(`${out}: mean and covariance of ${plural(count, "picture")}, shards ${parts.join(", ")}`);
  for (const text of warnings) io.out(`warning: ${text}`);
}

async function refuseInput(out: string, files: readonly string[]): Promise<void> {
  const real = (path: string) => realpath(path).catch(() => path);
  const target = await real(out);
  for (const file of files) {
    if ((await real(file)) === target) throw new UsageError(`--out ${out}: is one of the files to merge`);
  }
}

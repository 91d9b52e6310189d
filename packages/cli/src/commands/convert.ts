/** `dcae convert`: a checkpoint in another layout or dtype. */
import { rethrowAs } from "@dcae/core/graph";
import { saveCheckpoint } from "@dcae/core/internal";
import { checkCheckpointFormat } from "@dcae/core/models";
import { Command } from "commander";
import type { CliIo } from "../cli-io.js";
import { UsageError } from "../errors.js";
import { addSaveOptions, formatOption, type SaveFlags, saveOptions } from "../options/codec-options.js";
import { addHubOptions, type HubFlags, modelOption, openModel } from "../options/model-options.js";
import { addExamples } from "./command-group.js";

interface ConvertFlags extends HubFlags, SaveFlags {
  readonly from: string;
  readonly to: string;
  readonly json?: boolean;
}

export function convertCommand(io: CliIo): Command {
  const command = new Command("convert")
    .summary("a checkpoint in another layout or dtype")
    .description(
      "Writes a checkpoint in the layout of its authors (official) or of the diffusers library. Values stay as they are " +
        "unless --dtype is given. Only one array at a time is in memory.",
    )
    .addOption(modelOption("--from <model>"))
    .requiredOption("--to <dir>", "folder of the new checkpoint");
  addHubOptions(addSaveOptions(command, formatOption("").makeOptionMandatory()));
  command.option("--json", "print the result as JSON");
  addExamples(command, [
    {
      does: "for the diffusers library",
      command: "dcae convert --from ./dc-ae-f32c32 --to ./dc-ae-f32c32-diffusers --format diffusers",
    },
    {
      does: "half the size",
      command: "dcae convert --from ./dc-ae-f32c32 --to ./half --format official --dtype bfloat16",
    },
  ]);
  return command.action(async (flags: ConvertFlags) => {
    const { from, to } = flags;
    const { model, weights, format } = await openModel(from, flags, io);
    try {
      const { format: wanted } = flags;
      if (wanted !== undefined)
        rethrowAs(UsageError, `--format ${wanted}: `, () => checkCheckpointFormat(model.kind, wanted));
      await saveCheckpoint(model, weights, to, saveOptions(flags, io));
    } finally {
      io.progress.clear();
      await weights.close();
    }
    const result = { from, fromFormat: format, to, format: flags.format, dtype: flags.dtype ?? "as it was" };
    if (flags.json === true) io.json(result);
    else io.out(`${to}: ${flags.format} format, from ${from} (${format} format)`);
  });
}

/** `dcae export`: encoder and decoder as ONNX files that other programs run. */
import { join } from "node:path";
import { EXPORT_LAYOUTS, type ExportLayout, type ExportProgress } from "@dcae/core/internal";
import { MODEL_PARTS, type ModelPartName } from "@dcae/core/models";
import { Command, Option } from "commander";
import type { CliIo } from "../cli-io.js";
import { type EngineFlags, withModel } from "../options/engine-options.js";
import { addHubOptions, type ModelFlags, modelOption } from "../options/model-options.js";
import { parseCount, parseListOf } from "../options/parse-values.js";
import { addExamples } from "./command-group.js";

interface ExportFlags extends ModelFlags, Pick<EngineFlags, "threads"> {
  readonly dtype: "float32" | "float16";
  readonly out: string;
  readonly parts?: readonly ModelPartName[];
  readonly layout: ExportLayout;
  readonly overwrite?: boolean;
  readonly json?: boolean;
}

export function exportCommand(io: CliIo): Command {
  const command = new Command("export")
    .summary("ONNX files with dynamic batch, height and width")
    .description(
      "Writes encoder.onnx (x to latent; an SD-VAE: to moments) and decoder.onnx (latent to picture) with dynamic batch, " +
        "height and width, and export.json. Large weights go to a .onnx_data file beside the model. Every file is loaded " +
        "again and compared with the model at several sizes before it gets its name.",
    )
    .addOption(modelOption())
    .requiredOption("-o, --out <dir>", "folder for the files")
    .option("--parts <list>", "encoder, decoder or both (default: encoder,decoder)", parseListOf(MODEL_PARTS))
    .addOption(
      new Option(
        "--layout <layout>",
        "names of files, inputs and outputs: these, or those of a diffusion pipeline's parts as Optimum and tools of its kind load them " +
          "(vae_encoder/model.onnx, vae_decoder/model.onnx, each with config.json)",
      )
        .choices([...EXPORT_LAYOUTS])
        .default("plain"),
    )
    .addOption(
      new Option("--dtype <type>", "type of weights and computation; inputs and outputs stay float32")
        .choices(["float32", "float16"])
        .default("float32"),
    )
    .option("--overwrite", "replace a folder that isn't empty (files other than an export's stay)")
    .option("--threads <n>", "CPU threads for the comparison (default: all cores)", parseCount);
  addHubOptions(command).option("--json", "print the result as JSON");
  addExamples(command, [
    { does: "both parts", command: "dcae export -m mit-han-lab/dc-ae-f32c32-in-1.0 -o ./onnx" },
    {
      does: "as parts of a diffusion pipeline",
      command: "dcae export -m ./dc-ae-f32c32 --layout optimum -o ./pipeline",
    },
    {
      does: "a decoder of half the size, for a browser",
      command: "dcae export -m ./dc-ae-f32c32 --parts decoder --dtype float16 -o ./onnx",
    },
  ]);
  return command.action((flags: ExportFlags) => exportModel(flags, io));
}

async function exportModel(flags: ExportFlags, io: CliIo): Promise<void> {
  const { out, parts, layout, dtype, overwrite } = flags;
  // The comparison is with the model as it is: float32, on the CPU.
  const exported = await withModel({ ...flags, device: "cpu", dtype: "float32", optimize: false }, io, (model) =>
    model.export(out, {
      parts,
      layout,
      dtype,
      overwrite,
      onProgress: (progress) => {
        // Thrown in here, the reason stops the export, which removes what it has written.
        io.signal.throwIfAborted();
        showProgress(progress, io);
      },
    }),
  );
  if (flags.json === true) return io.json({ model: flags.model, out, layout, dtype, parts: exported });
  for (const { part, files, difference } of exported) {
    const names = files.map((file) => join(out, file)).join(", ");
    io.out(`${part}: ${names} (largest difference from the model ${difference.toExponential(1)}, relative)`);
  }
}

function showProgress({ part, stage, fraction }: ExportProgress, io: CliIo): void {
  io.progress.show({ label: `${stage} ${part}`, done: Math.floor(fraction * 100), total: 100 });
}

/** `dcae diffusion export`: a denoiser as an ONNX file that other programs run. */
import { join } from "node:path";
import { exportDenoiser, openDenoiser } from "@dcae/diffusion";
import { Command, Option } from "commander";
import type { CliIo } from "../../cli-io.js";
import { parseCount } from "../../options/parse-values.js";
import { addDenoiserOptions, type DenoiserFlags, denoiserOptions } from "../../options/sampling-options.js";
import { addExamples } from "../command-group.js";

interface ExportFlags extends DenoiserFlags {
  readonly dtype: "float32" | "float16";
  readonly out: string;
  readonly overwrite?: boolean;
  readonly threads?: number;
  readonly json?: boolean;
}

export function diffusionExportCommand(io: CliIo): Command {
  const command = new Command("export")
    .summary("a denoiser as an ONNX file with dynamic batch")
    .description(
      "Writes denoiser.onnx, one forward pass with dynamic batch (x, the times t, and labels where there are classes, to y), and " +
        "export.json. Large weights go to a .onnx_data file beside it. The file is loaded again and compared with the model at " +
        "several batches before it gets its name.",
    );
  addDenoiserOptions(command)
    .requiredOption("-o, --out <dir>", "folder for the files")
    .addOption(
      new Option("--dtype <type>", "type of weights and computation; inputs and outputs stay float32")
        .choices(["float32", "float16"])
        .default("float32"),
    )
    .option("--overwrite", "replace a folder that isn't empty (files other than an export's stay)")
    .option("--threads <n>", "CPU threads for the comparison (default: all cores)", parseCount)
    .option("--json", "print the result as JSON");
  addExamples(command, [{ does: "a model of a run", command: "dcae diffusion export -m runs/uvit-h/model -o ./onnx" }]);
  return command.action((flags: ExportFlags) => run(flags, io));
}

async function run(flags: ExportFlags, io: CliIo): Promise<void> {
  const { model, out, dtype, overwrite, threads, json } = flags;
  const opened = await openDenoiser(model, await denoiserOptions(flags, io));
  try {
    const { files, difference } = await exportDenoiser(opened, out, {
      ...{ dtype, overwrite, threads },
      onProgress(stage, fraction) {
        // Thrown in here, the reason stops the export, which removes what it has written.
        io.signal.throwIfAborted();
        io.progress.show({ label: `${stage} denoiser`, done: Math.floor(fraction * 100), total: 100 });
      },
    });
    io.progress.clear();
    if (json === true) return io.json({ model, out, dtype, files, difference });
    const names = files.map((file) => join(out, file)).join(", ");
    io.out(`denoiser: ${names} (largest difference from the model ${difference.toExponential(1)}, relative)`);
  } finally {
    await opened.weights.close();
  }
}

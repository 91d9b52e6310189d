/** `dcae reconstruct`: pictures through the autoencoder and back, with what was lost. */
import { dirname, join } from "node:path";
import { psnr, saveImage, sideBySide, tensorToImage } from "@dcae/core";
import { writeFileAtomic } from "@dcae/core/checkpoint";
import { Command } from "commander";
import type { CliIo } from "../cli-io.js";
import { type CodecFlags, checkCodecFlags, createCodec } from "../codec.js";
import { outputKind } from "../files/output-target.js";
import { makeFolder } from "../files/write-array-file.js";
import { formatPsnr, plural } from "../format-number.js";
import type { Batch } from "../items/batches.js";
import { createFailures, type Failures } from "../items/failures.js";
import { openItems } from "../items/item.js";
import { processItems } from "../items/process-items.js";
import { resultPaths } from "../items/result-paths.js";
import {
  addPictureOptions,
  batchSizeOption,
  maxMemoryOption,
  type PictureFlags,
  tiledOption,
} from "../options/codec-options.js";
import { addEngineOptions, type EngineFlags, programCacheOption, withModel } from "../options/engine-options.js";
import { addExamples } from "../options/examples.js";
import { addHubOptions, type ModelFlags, modelOption } from "../options/model-options.js";
import { parseCount } from "../options/parse-values.js";

export interface ReconstructFlags
  extends ModelFlags,
    EngineFlags,
    PictureFlags,
    Pick<CodecFlags, "latentChannels" | "tiled" | "maxMemory"> {
  readonly out: string;
  readonly batchSize: number;
  readonly json?: boolean;
}

export interface Reconstructed {
  readonly source: string;
  readonly reconstruction: string;
  readonly sideBySide: string;
  /** Of the reconstruction. */
  readonly width: number;
  readonly height: number;
  /** Decibels. */
  readonly psnr: number;
}

const ENDINGS = ["-reconstruction.png", "-side-by-side.png"] as const;

export function reconstructCommand(io: CliIo): Command {
  const command = new Command("reconstruct")
    .summary("pictures through the autoencoder and back")
    .description(
      "Encodes and decodes pictures. For each NAME it writes NAME-reconstruction.png and NAME-side-by-side.png (original\n" +
        "left, reconstruction right), and report.json with the PSNR of each picture and the mean.\n" +
        "Folders are searched for pictures, with their subfolders.",
    )
    .argument("<pictures...>", "pictures, or folders of pictures")
    .addOption(modelOption())
    .requiredOption("-o, --out <dir>", "folder for the results; files of the same names are replaced")
    .option("--latent-channels <n>", "adaptive models (DC-AE 1.5): only the first channels", parseCount);
  addPictureOptions(command).addOption(batchSizeOption()).addOption(tiledOption()).addOption(maxMemoryOption());
  addEngineOptions(addHubOptions(command)).addOption(programCacheOption()).option("--json", "print the report as JSON");
  addExamples(command, [
    {
      does: "one picture of any size, in full",
      command: "dcae reconstruct cat.jpg -m mit-han-lab/dc-ae-f32c32-in-1.0 --size-policy reflect-pad -o out/",
    },
    {
      does: "a folder, as models are evaluated at 256x256",
      command: "dcae reconstruct photos/ -m ./dc-ae-f32c32 --size 256 --batch-size 8 -o out/",
    },
  ]);
  return command.action(async (inputs: string[], flags: ReconstructFlags) => {
    await reconstruct(inputs, flags, io);
  });
}

/** Does the command's work; the results are also returned. */
export async function reconstruct(
  inputs: readonly string[],
  flags: ReconstructFlags,
  io: CliIo,
): Promise<Reconstructed[]> {
  checkCodecFlags(flags);
  const { out } = flags;
  await outputKind(out, ["folder"]);
  const { items, close } = await openItems(inputs, {
    folders: "pictures",
    accepts: ["pictures"],
    what: "pictures",
    out,
    size: flags.size,
  });
  try {
    const paths = await resultPaths(items, out, ENDINGS);
    const failures = createFailures(io, "picture", flags.skipErrors ?? false);
    let device = "";
    const results = await withModel(flags, io, (model) => {
      device = model.engine.device;
      const codec = createCodec(model, flags, io.signal);
      return processItems(items, io, {
        label: "reconstruct",
        batchSize: flags.batchSize,
        // A second picture may be what doesn't fit.
        loadAhead: flags.maxMemory === undefined,
        fit: { multiple: model.compression, policy: flags.sizePolicy },
        failures,
        compute: ({ tensor }: Batch) => codec.reconstruct(tensor),
        async write({ item, tensor, restore }, decoded): Promise<Reconstructed> {
          const [path, pairPath] = paths.get(item) as readonly [string, string];
          const original = tensorToImage(restore(tensor));
          const result = tensorToImage(restore(decoded));
          await makeFolder(dirname(path));
          await saveImage(result, path);
          await saveImage(sideBySide([original, result]), pairPath);
          return {
            source: item.source,
            reconstruction: path,
            sideBySide: pairPath,
            width: result.width,
            height: result.height,
            psnr: psnr(original, result),
          };
        },
      });
    });
    const report = createReport(results, flags, device, failures);
    await makeFolder(out);
    await writeFileAtomic(join(out, "report.json"), (file) => file.write(new TextEncoder().encode(`${report}\n`)));
    if (flags.json === true) io.out(report);
    else summarize(results, out, io);
    failures.finish(items.length);
    return results;
  } finally {
    await close();
  }
}

function meanPsnr(results: readonly Reconstructed[]): number | undefined {
  if (results.length === 0) return undefined;
  return results.reduce((sum, result) => sum + result.psnr, 0) / results.length;
}

/** JSON has no infinity, and null would look like a failure. */
function jsonNumber(value: number): number | "Infinity" {
  return Number.isFinite(value) ? value : "Infinity";
}

function createReport(
  results: readonly Reconstructed[],
  flags: ReconstructFlags,
  device: string,
  failures: Failures,
): string {
  const { model, dtype, size, sizePolicy, latentChannels, tiled = false } = flags;
  const mean = meanPsnr(results);
  const report = {
    model,
    device,
    dtype,
    ...(size === undefined ? {} : { size: { width: size[1], height: size[0] } }),
    sizePolicy,
    ...(latentChannels === undefined ? {} : { latentChannels }),
    tiled,
    count: results.length,
    meanPsnr: mean === undefined ? null : jsonNumber(mean),
    pictures: results.map((result) => ({ ...result, psnr: jsonNumber(result.psnr) })),
    failed: failures.list,
  };
  return JSON.stringify(report, undefined, 2);
}

function summarize(results: readonly Reconstructed[], out: string, io: CliIo): void {
  for (const { source, reconstruction, width, height, psnr: value } of results) {
    io.out(`${source}: ${formatPsnr(value)} (${width}x${height}), ${reconstruction}`);
  }
  const mean = meanPsnr(results);
  if (mean === undefined) return;
  io.out(`${plural(results.length, "picture")}, mean PSNR ${formatPsnr(mean)}; report in ${join(out, "report.json")}`);
}

/** `dcae reconstruct`: pictures through the autoencoder and back, with what was lost. */
import { dirname, join } from "node:path";
import { psnr, saveImage, tensorToImage } from "@dcae/core";
import { writeFileAtomic } from "@dcae/core/checkpoint";
import { sideBySide } from "@dcae/core/image";
import type { JobPart } from "@dcae/core/internal";
import { Command } from "commander";
import { type CliIo, formatPsnr, plural } from "../cli-io.js";
import { type CodecFlags, checkCodecFlags, createCodec } from "../codec.js";
import { UsageError } from "../errors.js";
import { makeFolder } from "../files/array-file.js";
import { outputKind } from "../files/paths.js";
import { askForSizePolicy, type Batch, openItems } from "../items/items.js";
import { createFailures, type Failures, processItems, resultPaths } from "../items/process-items.js";
import { fingerprintOf, jobOptions, shareItems } from "../items/share-work.js";
import {
  addPictureOptions,
  asksForSizePolicy,
  batchSizeOption,
  maxMemoryOption,
  type PictureFlags,
  tiledOption,
} from "../options/codec-options.js";
import {
  addAutoencoderOptions,
  type EngineFlags,
  type Model,
  parseForm,
  withModel,
  withModelAs,
} from "../options/engine-options.js";
import { addHubOptions, type ModelFlags, modelOption } from "../options/model-options.js";
import { parseCount } from "../options/parse-values.js";
import { shardOption } from "../options/shard-options.js";
import { addExamples } from "./command-group.js";

interface ReconstructFlags
  extends ModelFlags,
    EngineFlags,
    PictureFlags,
    Pick<CodecFlags, "latentChannels" | "tiled" | "maxMemory"> {
  readonly out: string;
  readonly batchSize: number;
  readonly compare?: boolean;
  readonly shard?: JobPart;
  readonly json?: boolean;
}

interface Reconstructed {
  readonly source: string;
  readonly reconstruction: string;
  readonly sideBySide: string;
  /** Of the reconstruction. */
  readonly width: number;
  readonly height: number;
  /** Decibels. */
  readonly psnr: number;
  /** With another type than float32: what it costs. */
  readonly float32?: Float32Comparison;
}

interface Float32Comparison {
  /** Of the reconstruction in float32. */
  readonly psnr: number;
  /** Between the two reconstructions. */
  readonly psnrBetween: number;
}

const ENDINGS = ["-reconstruction.png", "-side-by-side.png"] as const;

export function reconstructCommand(io: CliIo): Command {
  const command = new Command("reconstruct")
    .summary("pictures through the autoencoder and back")
    .description(
      "Encodes and decodes pictures. For each NAME it writes NAME-reconstruction.png and NAME-side-by-side.png (original " +
        "left, reconstruction right), and report.json with the PSNR of each picture and the mean.\n" +
        "Folders are searched for pictures, with their subfolders.",
    )
    .argument("<pictures...>", "pictures, folders of pictures, patterns as 'photos/*.jpg'; - for a picture on stdin")
    .addOption(modelOption())
    .requiredOption("-o, --out <dir>", "folder for the results; files of the same names are replaced")
    .option("--latent-channels <n>", "adaptive models (DC-AE 1.5): only the first channels", parseCount)
    .option("--compare", "with another --dtype than float32: also in float32, with what the type costs");
  addPictureOptions(command)
    .addOption(batchSizeOption())
    .addOption(tiledOption())
    .addOption(maxMemoryOption())
    .addOption(shardOption());
  addAutoencoderOptions(addHubOptions(command)).option("--json", "print the report as JSON");
  addExamples(command, [
    {
      does: "one picture of any size, in full",
      command: "dcae reconstruct cat.jpg -m mit-han-lab/dc-ae-f32c32-in-1.0 --size-policy reflect-pad -o out/",
    },
    {
      does: "a folder, as models are evaluated at 256x256",
      command: "dcae reconstruct photos/ -m ./dc-ae-f32c32 --size 256 --batch-size 8 -o out/",
    },
    {
      does: "the same by an array of tasks; the last one writes report.json",
      command: "dcae reconstruct photos/ -m ./dc-ae-f32c32 --size 256 --batch-size 8 -o out/ --shard auto",
    },
  ]);
  return command.action((inputs: string[], flags: ReconstructFlags) => reconstruct(inputs, flags, io));
}

async function reconstruct(inputs: readonly string[], flags: ReconstructFlags, io: CliIo): Promise<void> {
  checkCodecFlags(flags);
  const { out } = flags;
  await outputKind(out, ["folder"]);
  if (flags.compare === true && flags.dtype === "float32") {
    throw new UsageError("--compare has no effect with --dtype float32, which it compares with");
  }
  const { items, close } = await openItems(
    inputs,
    {
      folders: "pictures",
      accepts: ["pictures"],
      what: "pictures",
      out,
      size: flags.size,
    },
    io,
  );
  try {
    const paths = await resultPaths(items, out, ENDINGS);
    const failures = createFailures(io, "picture", flags.skipErrors ?? false);
    let device = "";
    const runs = Math.ceil(items.length / flags.batchSize);
    const results = await withModels(flags, io, runs, async (model, exact) => {
      if (asksForSizePolicy(flags)) await askForSizePolicy(items, model.compression, io);
      device = model.engine.device;
      const codec = createCodec(model, flags, io.signal);
      const exactCodec = exact && createCodec(exact, flags, io.signal);
      const key = { ...jobOptions("reconstruct", flags), weights: await fingerprintOf(flags.shard, model) };
      const { shard, json, batchSize: blockSize } = flags;
      return shareItems<Reconstructed>(
        { out, shard, json, blockSize, key, items, paths, failures },
        io,
        (todo, hooks) =>
          processItems(todo, io, {
            label: "reconstruct",
            batchSize: flags.batchSize,
            // A second picture may be what doesn't fit.
            loadAhead: flags.maxMemory === undefined,
            fit: {
              channels: model.config.inChannels,
              multiple: model.compression,
              policy: flags.sizePolicy ?? "error",
            },
            ...hooks,
            compute: ({ tensor }: Batch) => codec.reconstruct(tensor),
            async write({ item, tensor, restore }, decoded): Promise<Reconstructed> {
              const [path, pairPath] = paths.get(item) as readonly [string, string];
              const original = tensorToImage(restore(tensor));
              const result = tensorToImage(restore(decoded));
              const inFloat32 = exactCodec && tensorToImage(restore(await exactCodec.reconstruct(tensor)));
              await makeFolder(dirname(path));
              await saveImage(result, path);
              await saveImage(sideBySide([original, result]), pairPath);
              const outcome: Reconstructed = {
                source: item.source,
                reconstruction: path,
                sideBySide: pairPath,
                width: result.width,
                height: result.height,
                psnr: psnr(original, result),
                ...(inFloat32 && {
                  float32: { psnr: psnr(original, inFloat32), psnrBetween: psnr(inFloat32, result) },
                }),
              };
              if (flags.json !== true) io.out(describe(outcome));
              return outcome;
            },
          }),
      );
    });
    if (results === undefined) return;
    const report = createReport(results, flags, device, failures);
    if (results.length > 0) {
      await makeFolder(out);
      await writeFileAtomic(join(out, "report.json"), (file) => file.write(new TextEncoder().encode(`${report}\n`)));
    }
    if (flags.json === true) io.out(report);
    else summarize(results, flags, out, io);
    failures.finish(items.length);
  } finally {
    await close();
  }
}

/** Loads the model, and with --compare also the one that it is compared with. */
function withModels<T>(
  flags: ReconstructFlags,
  io: CliIo,
  runs: number,
  work: (model: Model, exact: Model | undefined) => Promise<T>,
): Promise<T> {
  const both = (model: Model): Promise<T> => {
    if (flags.compare !== true) return work(model, undefined);
    const plain = parseForm({ device: flags.device, dtype: "float32", optimize: false });
    return withModelAs(plain, flags, io, (exact) => work(model, exact));
  };
  return withModel(flags, io, both, runs);
}

function mean(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Means over all pictures. */
function meansOf(results: readonly Reconstructed[]) {
  const compared = results.flatMap(({ float32 }) => (float32 === undefined ? [] : [float32]));
  return {
    psnr: mean(results.map(({ psnr: value }) => value)),
    psnrFloat32: mean(compared.map(({ psnr: value }) => value)),
    psnrBetween: mean(compared.map(({ psnrBetween }) => psnrBetween)),
  };
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
  const { model, dtype, size, sizePolicy = "error", latentChannels, tiled = false } = flags;
  const means = meansOf(results);
  const report = {
    model,
    device,
    dtype,
    ...(size === undefined ? {} : { size: { width: size[1], height: size[0] } }),
    sizePolicy,
    ...(latentChannels === undefined ? {} : { latentChannels }),
    tiled,
    count: results.length,
    meanPsnr: means.psnr === undefined ? null : jsonNumber(means.psnr),
    ...(means.psnrFloat32 === undefined || means.psnrBetween === undefined
      ? {}
      : { meanFloat32: { psnr: jsonNumber(means.psnrFloat32), psnrBetween: jsonNumber(means.psnrBetween) } }),
    pictures: results.map(({ float32, ...result }) => ({
      ...result,
      psnr: jsonNumber(result.psnr),
      ...(float32 && {
        float32: { psnr: jsonNumber(float32.psnr), psnrBetween: jsonNumber(float32.psnrBetween) },
      }),
    })),
    failed: failures.list,
  };
  return JSON.stringify(report, undefined, 2);
}

/** As in ", float32 24.53 dB, 46.20 dB between the two". */
function comparison({ psnr: exact, psnrBetween }: Float32Comparison): string {
  return `, float32 ${formatPsnr(exact)}, ${formatPsnr(psnrBetween)} between the two`;
}

/** The line of one picture, as soon as it is there. */
function describe({ source, reconstruction, width, height, psnr: value, float32 }: Reconstructed): string {
  const compared = float32 === undefined ? "" : comparison(float32);
  return `${source}: ${formatPsnr(value)} (${width}x${height})${compared}, ${reconstruction}`;
}

function summarize(results: readonly Reconstructed[], { dtype }: ReconstructFlags, out: string, io: CliIo): void {
  const { psnr: value, psnrFloat32, psnrBetween } = meansOf(results);
  if (value === undefined) return;
  io.out(`${plural(results.length, "picture")}, mean PSNR ${formatPsnr(value)}; report in ${join(out, "report.json")}`);
  if (psnrFloat32 === undefined || psnrBetween === undefined) return;
  // Where both are exact, there is no difference to subtract.
  const cost = psnrFloat32 === value ? 0 : psnrFloat32 - value;
  io.out(`${dtype} costs ${cost.toFixed(2)} dB: mean${comparison({ psnr: psnrFloat32, psnrBetween }).slice(1)}`);
}

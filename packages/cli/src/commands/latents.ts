/** `dcae latents`: class folders of pictures to a folder of latents that diffusion models train on. */
import { DataError } from "@dcae/core";
import { familyOf } from "@dcae/core/models";
import { type LatentLayout, pictureFolder, type WrittenLatents, writeLatents } from "@dcae/diffusion";
import { type LatentManifest, latentCount, shardCount } from "@dcae/diffusion/internal";
import { scenePictures } from "@dcae/train/diffusion";
import { Command, Option } from "commander";
import { type CliIo, plural } from "../cli-io.js";
import { checkModelFlags } from "../codec.js";
import { errorLine, UsageError } from "../errors.js";
import { noteLeftOut, outputKind } from "../files/paths.js";
import { addEngineOptions, type EngineFlags, type Model, withModel } from "../options/engine-options.js";
import { addHubOptions, type ModelFlags, modelOption } from "../options/model-options.js";
import { type Part, parseCount, parseNumber, parsePart, parseScale, parseSeed } from "../options/parse-values.js";
import { addExamples } from "./command-group.js";

/** What `--data` means procedural scenes. */
const SYNTHETIC = "synthetic";

interface LatentsFlags extends ModelFlags, EngineFlags {
  readonly data: string;
  readonly out: string;
  readonly size: number;
  readonly layout: LatentLayout;
  readonly latentDtype: LatentManifest["dtype"];
  readonly shardSize: number;
  readonly flips?: boolean;
  readonly scalingFactor?: number | "measure";
  readonly shiftFactor?: number;
  readonly latentChannels?: number;
  readonly count?: number;
  readonly seed?: bigint;
  readonly shard?: Part;
  readonly batchSize: number;
  readonly skipErrors?: boolean;
  readonly json?: boolean;
}

export function latentsCommand(io: CliIo): Command {
  const command = new Command("latents")
    .summary("a training set of latents for diffusion models")
    .description(
      "Encodes pictures in class folders (<class>/<picture>) to a folder of scaled latents with labels.\n" +
        "It goes on where an earlier run stopped, and may be shared among processes by --shard.",
    )
    .requiredOption("--data <dir>", `folder of class folders, or "${SYNTHETIC}": procedural scenes of 12 classes`)
    .addOption(modelOption())
    .requiredOption("-o, --out <dir>", "folder of the latents")
    .option("--size <n>", "side of the pictures, scaled and cut as the reference prepares data sets", parseCount, 512)
    .addOption(
      new Option("--layout <layout>", "shards: files of many latents; npy: the reference's, one file per picture")
        .choices(["shards", "npy"])
        .default("shards"),
    )
    .addOption(
      new Option("--latent-dtype <type>", "type that latents are stored in")
        .choices(["float32", "float16"])
        .default("float32"),
    )
    .option("--shard-size <n>", "latents per shard, and per unit of work", parseCount, 1024)
    .option("--flips", "also the latents of the mirrored pictures")
    .option(
      "--scaling-factor <x|measure>",
      "of (z - shift) * factor, instead of the model's; measure: 1 / RMS of the shifted latents of 256 of the pictures",
      parseScale,
    )
    .option("--shift-factor <x>", "of (z - shift) * factor, instead of the model's", parseNumber)
    .option("--latent-channels <n>", "adaptive models (DC-AE 1.5): only the first channels", parseCount)
    .option("--count <n>", `with --data ${SYNTHETIC}: number of scenes`, parseCount)
    .option("--seed <n>", "of the scenes, and of the noise of an SD-VAE (default: 0)", parseSeed)
    .option("--skip-errors", "leave out pictures that can't be read (they are named and counted), instead of stopping")
    .option("--shard <i/n>", "only part i of n, from 1/n to n/n", parsePart)
    .option("--batch-size <n>", "pictures that go through the model together", parseCount, 16);
  addEngineOptions(addHubOptions(command)).option("--json", "print the result as JSON");
  addExamples(command, [
    {
      does: "latents of ImageNet, as the published diffusion models were trained on",
      command: "dcae latents --data imagenet/train -m mit-han-lab/dc-ae-f64c128-in-1.0 --size 512 -o latents/",
    },
    {
      does: "the first of four processes that share the work",
      command: "dcae latents --data imagenet/train -m ./dc-ae-f64c128 -o latents/ --shard 1/4",
    },
    {
      does: "no pictures at hand: scenes of 12 classes",
      command: "dcae latents --data synthetic --count 12000 -m ./small --size 128 --scaling-factor measure -o latents/",
    },
  ]);
  return command.action((flags: LatentsFlags) => latents(flags, io));
}

/** @throws UsageError for options without effect, and what the model can't do */
function checkFlags(
  { data, count, seed, size, skipErrors, latentChannels, scalingFactor }: LatentsFlags,
  model?: Model,
) {
  const synthetic = data === SYNTHETIC;
  if (synthetic && skipErrors === true) throw new UsageError(`--skip-errors has no effect on --data ${SYNTHETIC}`);
  if (synthetic && count === undefined) {
    throw new UsageError(`--data ${SYNTHETIC} needs --count, the number of scenes`);
  }
  if (!synthetic && count !== undefined) {
    throw new UsageError(`--count has no effect on ${data}: it is for --data ${SYNTHETIC}`);
  }
  if (model === undefined) return;
  if (seed !== undefined && !synthetic && !familyOf(model.description).latent.isRandom) {
    throw new UsageError(`--seed has no effect: ${model.name} encodes without noise`);
  }
  if (size % model.compression !== 0) {
    throw new UsageError(`--size ${size}: must be a multiple of ${model.compression}, the model's compression`);
  }
  checkModelFlags(model, latentChannels === undefined ? {} : { latentChannels });
  if (scalingFactor === undefined && model.scalingFactor === null) {
    throw new UsageError(`no scaling factor is known for ${model.name}`, {
      hint: "Give it with --scaling-factor, or --scaling-factor measure.",
    });
  }
}

async function latents(flags: LatentsFlags, io: CliIo): Promise<void> {
  const { data, out, count, seed, scalingFactor, skipErrors = false, ...loading } = flags;
  checkFlags(flags);
  await outputKind(out, ["folder"]);
  const pictures = data === SYNTHETIC ? scenePictures(count as number, seed ?? 0n) : await pictureFolder(data);
  noteLeftOut(io, data, pictures);
  const written = await withModel(loading, io, async (autoencoder) => {
    checkFlags(flags, autoencoder);
    const { size, layout, latentDtype: dtype, shardSize, flips: mirrored = false, batchSize } = flags;
    return writeLatents({
      ...{ autoencoder, pictures, directory: out, source: flags.model },
      ...{ size, layout, dtype, shardSize, mirrored, batchSize, seed, scalingFactor, skipErrors },
      latentChannels: flags.latentChannels,
      part: flags.shard,
      onUnreadable: (_, error) => tellUnreadable(error, skipErrors, io),
      onProgress: ({ stage, done, total, picture }) =>
        io.progress.show({ label: stage, done, total, ...(picture === undefined ? {} : { detail: picture }) }),
      signal: io.signal,
    });
  });
  report(written, flags, io);
  const { skipped, manifest } = written;
  if (skipped.size > 0)
    io.note(`dcae: ${skipped.size} of ${plural(manifest.pictures.length, "picture")} could not be used`);
}

/** @throws DataError where pictures may not be left out */
function tellUnreadable(error: DataError, tolerated: boolean, io: CliIo): void {
  if (!tolerated) {
    throw new DataError(error.message, {
      cause: error,
      hint: "Repair the file and go on with the same command, or leave such pictures out with --skip-errors.",
    });
  }
  io.note(`dcae: ${errorLine(error)}`);
}

function report(
  { manifest, missing, skipped, statistics }: WrittenLatents,
  { out, json }: LatentsFlags,
  io: CliIo,
): void {
  const { classes, shape, scalingFactor, shiftFactor, source, layout, dtype } = manifest;
  const count = statistics?.count ?? latentCount(manifest);
  if (json === true) {
    const about = { out, source, layout, dtype, shape, count, classes: classes.length, scalingFactor, shiftFactor };
    const written = { missingUnits: missing, skippedPictures: skipped.size, statistics: statistics ?? null };
    io.json({ ...about, ...written });
    return;
  }
  const parts = `${plural(count, "latent")} of [${shape.join(", ")}] in ${plural(classes.length, "class", "classes")}`;
  if (statistics === undefined) {
    const units = shardCount(manifest);
    io.out(`${out}: ${units - missing} of ${plural(units, "part")} are there, of ${parts}`);
    return;
  }
  const { mean, std, rms } = statistics;
  const measured = Object.entries({ mean, std, rms }).map(([name, value]) => `${name} ${value.toFixed(4)}`);
  const shifted = shiftFactor === 0 ? "" : `shifted by ${-shiftFactor} and `;
  io.out(`${out}: ${parts}, ${shifted}scaled by ${scalingFactor}: ${measured.join(", ")}`);
}

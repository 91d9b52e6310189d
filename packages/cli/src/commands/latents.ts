/** `dcae latents`: class folders of pictures to a folder of latents that diffusion models train on. */
import { DataError } from "@dcae/core";
import { formatPart, type JobPart } from "@dcae/core/internal";
import { familyOf } from "@dcae/core/models";
import { type LatentLayout, pictureFolder, type WrittenLatents, writeLatents } from "@dcae/diffusion";
import { LATENT_LAYOUTS, type LatentManifest, latentCount, mergeLatents, shardCount } from "@dcae/diffusion/internal";
import { scenePictures } from "@dcae/train/diffusion";
import { Command, Option } from "commander";
import { type CliIo, plural } from "../cli-io.js";
import { checkModelFlags } from "../codec.js";
import { errorLine, UsageError } from "../errors.js";
import { noteLeftOut, outputKind } from "../files/paths.js";
import { addEngineOptions, type EngineFlags, type Model, withModel } from "../options/engine-options.js";
import { addHubOptions, type ModelFlags, modelOption } from "../options/model-options.js";
import { parseCount, parseNumber, parseScale, parseSeed } from "../options/parse-values.js";
import { nameSome, noteWaiting, shardOption } from "../options/shard-options.js";
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
  readonly shard?: JobPart;
  readonly batchSize: number;
  readonly skipErrors?: boolean;
  readonly json?: boolean;
}

export function latentsCommand(io: CliIo): Command {
  const command = new Command("latents")
    .summary("a training set of latents for diffusion models")
    .description(
      "Encodes pictures in class folders (<class>/<picture>) to a folder of scaled latents with labels.\n" +
        "It goes on where an earlier run stopped or was killed, and may be shared among processes by --shard: the folder is the " +
        "same to the last bit. SIGUSR1 and SIGTERM keep what is done of a part; the status is then 75 or 143.",
    )
    .option("--data <dir>", `folder of class folders, or "${SYNTHETIC}": procedural scenes of 12 classes`)
    .addOption(modelOption().makeOptionMandatory(false))
    .option("-o, --out <dir>", "folder of the latents")
    .option("--size <n>", "side of the pictures, scaled and cut as the reference prepares data sets", parseCount, 512)
    .addOption(
      new Option(
        "--layout <layout>",
        "shards: files of many latents; npy: the reference's, one file per picture; tar: archives for WebDataset (.npy and .cls)",
      )
        .choices([...LATENT_LAYOUTS])
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
    .addOption(shardOption())
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
      does: "one task of an array of Slurm (sbatch --array=0-31), each with the same command line",
      command: "dcae latents --data imagenet/train -m ./dc-ae-f64c128 -o latents/ --shard auto",
    },
    {
      does: "no pictures at hand: scenes of 12 classes",
      command: "dcae latents --data synthetic --count 12000 -m ./small --size 128 --scaling-factor measure -o latents/",
    },
  ]);
  command.helpCommand(true).addCommand(latentsMergeCommand(io));
  return command.action((flags: LatentsFlags) => {
    // Not mandatory options: commander would ask for them before `merge` too.
    for (const [name, option] of [
      ["data", "--data <dir>"],
      ["model", "-m, --model <model>"],
      ["out", "-o, --out <dir>"],
    ] as const) {
      if (flags[name] === undefined) {
        throw new UsageError(`latents: required option '${option}' not specified`, {
          hint: "See `dcae latents --help`.",
        });
      }
    }
    return latents(flags, io);
  });
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
      onWait: (owner) => noteWaiting(flags.shard, owner, io),
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
  { out, json }: Pick<LatentsFlags, "out" | "json">,
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

// `dcae latents merge`

interface LatentsMergeFlags {
  readonly shards?: number;
  readonly json?: boolean;
}

function latentsMergeCommand(io: CliIo): Command {
  const command = new Command("merge")
    .summary("whether the latents of all shards are there, and their statistics")
    .description(
      "Looks whether every part of a folder is there that processes with --shard wrote. If so, it writes statistics.json, as the " +
        "last of them does; otherwise it names the parts that lack, and fails.",
    )
    .argument("<dir>", "folder of the latents")
    .option("--shards <n>", "the n of --shard i/n: also says to which shards the missing parts belong", parseCount)
    .option("--json", "print the result as JSON");
  addExamples(command, [{ does: "after an array of 32 tasks", command: "dcae latents merge latents/ --shards 32" }]);
  return command.action((folder: string, _: LatentsMergeFlags, merging: Command) => {
    refuseOptionsAbove(merging);
    // --json is an option of `latents` too, which takes it.
    return merge(folder, merging.optsWithGlobals<LatentsMergeFlags>(), io);
  });
}

/** Options of `latents` would be taken and do nothing. @throws UsageError */
function refuseOptionsAbove({ parent }: Command): void {
  const useless = parent?.options.find(
    (option) => option.attributeName() !== "json" && parent.getOptionValueSource(option.attributeName()) === "cli",
  );
  if (useless === undefined) return;
  throw new UsageError(`latents merge: unknown option '${useless.long}'`, { hint: "See `dcae latents merge --help`." });
}

async function merge(folder: string, { shards, json }: LatentsMergeFlags, io: CliIo): Promise<void> {
  const merged = await mergeLatents(folder);
  const { missingUnits } = merged;
  if (missingUnits.length === 0) return report(merged, { out: folder, ...(json === undefined ? {} : { json }) }, io);
  const lacking =
    shards === undefined ? [] : [...new Set(missingUnits.map((unit) => unit % shards))].sort((a, b) => a - b);
  const names = shards === undefined ? [] : lacking.map((index) => formatPart({ index, count: shards }));
  if (json === true)
    io.json({ out: folder, parts: shardCount(merged.manifest), missingParts: missingUnits, shards: names });
  const ofShards = names.length === 0 ? "" : `, which shard ${nameSome(names)} writes`;
  throw new DataError(
    `${folder}: ${missingUnits.length} of ${plural(shardCount(merged.manifest), "part")} lack${missingUnits.length === 1 ? "s" : ""}: ` +
      `${nameSome(missingUnits)}${ofShards}`,
    { hint: "Run these shards again with the same command; what is there stays." },
  );
}

/** `dcae latents`: class folders of pictures to a folder of latents that diffusion models train on. */
import { DataError, Tensor } from "@dcae/core";
import { scaleLatent } from "@dcae/core/internal";
import { familyOf } from "@dcae/core/models";
import {
  type LatentFolderStatistics,
  type LatentManifest,
  latentCount,
  missingUnits,
  openLatents,
  shardCount,
  skippedPictures,
  writeLatentStatistics,
  writeLatents,
} from "@dcae/diffusion";
import { Command, Option } from "commander";
import type { CliIo } from "../cli-io.js";
import { createCodec } from "../codec.js";
import { noteLeftOut } from "../files/list-files.js";
import { outputKind } from "../files/output-target.js";
import { formatCount, plural } from "../format-number.js";
import { checkLatentsFlags, describeLatents, type LatentsFlags } from "../latents/describe-latents.js";
import { encodePictures } from "../latents/encode-pictures.js";
import { folderPictures, SYNTHETIC, scenePictures } from "../latents/picture-set.js";
import { unreadablePictures } from "../latents/unreadable-pictures.js";
import { addEngineOptions, withModel } from "../options/engine-options.js";
import { addHubOptions, modelOption } from "../options/model-options.js";
import { parseCount, parseNumber, parsePart, parseScale, parseSeed } from "../options/parse-values.js";
import { addExamples } from "./command-group.js";

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
      "instead of the model's factor; measure: 1 / RMS of the latents of 256 of the pictures",
      parseScale,
    )
    .option("--shift-factor <x>", "subtract this before scaling, instead of what the model says", parseNumber)
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

async function latents(flags: LatentsFlags, io: CliIo): Promise<void> {
  const { data, out, size, count, seed, shard, batchSize, skipErrors = false, scalingFactor: _, ...loading } = flags;
  checkLatentsFlags(flags);
  await outputKind(out, ["folder"]);
  const onUnreadable = unreadablePictures(skipErrors, io);
  const pictures = data === SYNTHETIC ? scenePictures(count as number, seed ?? 0n) : await folderPictures(data);
  noteLeftOut(io, data, pictures);
  const manifest = await withModel(loading, io, async (model) => {
    checkLatentsFlags(flags, model);
    const { latentChannels } = flags;
    const noise = familyOf(model.description).latent.isRandom
      ? { sample: true, ...(seed === undefined ? {} : { seed }) }
      : {};
    const codec = createCodec(
      model,
      { ...noise, ...(latentChannels === undefined ? {} : { latentChannels }) },
      io.signal,
    );
    const described = await describeLatents(model, codec, pictures, flags, onUnreadable, io);
    const progress = { label: "encode", total: latentCount(described) };
    let done = 0;
    await writeLatents(
      out,
      described,
      async (items) => {
        const { latents, skipped } = await encodePictures(codec, pictures, items, size, onUnreadable);
        done += items.length;
        io.progress.show({ ...progress, done, detail: items.at(-1)?.picture ?? "" });
        const none = Tensor.zeros([0, ...described.shape]);
        const scale = { factor: described.scalingFactor, shift: described.shiftFactor };
        return { latents: latents === undefined ? none : scaleLatent(latents, scale, model.name), skipped };
      },
      {
        ...(shard === undefined ? {} : { part: shard }),
        batchSize,
        skipErrors,
        signal: io.signal,
        onProgress({ skipped, unit }) {
          if (skipped) done += Math.min(described.shardSize, progress.total - unit * described.shardSize);
          io.progress.show({ ...progress, done });
        },
      },
    );
    return described;
  });
  const missing = shard === undefined ? 0 : await missingUnits(out, manifest);
  const skipped = (await skippedPictures(out, manifest)).size;
  const statistics = missing === 0 ? await measure(out) : undefined;
  report(manifest, { missing, skipped, statistics }, flags, io);
  if (skipped > 0) io.note(`dcae: ${skipped} of ${plural(manifest.pictures.length, "picture")} could not be used`);
}

async function measure(folder: string): Promise<LatentFolderStatistics> {
  const dataset = await openLatents(folder);
  try {
    if (dataset.length === 0)
      throw new DataError(`${folder}: none of the pictures could be used`, { hint: "See above." });
    return await writeLatentStatistics(dataset);
  } finally {
    await dataset.close();
  }
}

interface Written {
  /** Parts that aren't there yet. */
  readonly missing: number;
  /** Pictures that were left out. */
  readonly skipped: number;
  /** Undefined while parts are missing. */
  readonly statistics: LatentFolderStatistics | undefined;
}

function report(
  manifest: LatentManifest,
  { missing, skipped, statistics }: Written,
  { out, json }: LatentsFlags,
  io: CliIo,
): void {
  const { classes, shape, scalingFactor, shiftFactor, source, layout, dtype } = manifest;
  const count = statistics?.count ?? latentCount(manifest);
  if (json === true) {
    const about = { out, source, layout, dtype, shape, count, classes: classes.length, scalingFactor, shiftFactor };
    const written = { missingUnits: missing, skippedPictures: skipped, statistics: statistics ?? null };
    io.out(JSON.stringify({ ...about, ...written }, undefined, 2));
    return;
  }
  const parts = `${plural(count, "latent")} of [${shape.join(", ")}] in ${formatCount(classes.length)} classes`;
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

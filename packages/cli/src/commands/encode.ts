/** `dcae encode`: pictures, or raw tensors, to latents. */
import { encodeNpy, writeNpyFile } from "@dcae/core/checkpoint";
import { type Communicator, isFirst, type JobPart, together } from "@dcae/core/internal";
import { Command } from "commander";
import { type CliIo, plural } from "../cli-io.js";
import { type CodecFlags, checkCodecFlags, createCodec } from "../codec.js";
import { UsageError } from "../errors.js";
import { arrayFormatOf } from "../files/array-file.js";
import { type OutputKind, outputKind } from "../files/paths.js";
import { askForSizePolicy, type LoadedItem, openItems } from "../items/items.js";
import {
  createFailures,
  oneArray,
  processItemsTo,
  refuseInputs,
  refuseJson,
  resultPaths,
  tell,
} from "../items/process-items.js";
import { fingerprintOf, jobOptions, shareItems } from "../items/share-work.js";
import {
  addPictureOptions,
  addScaleOptions,
  asksForSizePolicy,
  batchSizeOption,
  maxMemoryOption,
  type PictureFlags,
  tiledOption,
} from "../options/codec-options.js";
import { addAutoencoderOptions, type EngineFlags, withModel } from "../options/engine-options.js";
import { addHubOptions, type ModelFlags, modelOption } from "../options/model-options.js";
import {
  checkSharedTiles,
  type ParallelFlags,
  parallelOption,
  ranksThreads,
  withRanks,
} from "../options/parallel-options.js";
import { parseCount, parseSeed } from "../options/parse-values.js";
import { shardOption } from "../options/shard-options.js";
import { addExamples } from "./command-group.js";

/** Decoded pictures that were not clamped overshoot [-1, 1] a little; values beyond this are from another range. */
const LARGEST_PLAUSIBLE = 2;
/** Pictures whose values spread so far, but never below 0, are more likely from 0 to 1 than without anything dark. */
const HALF_OF_UNIT_RANGE = 0.5;

interface EncodeFlags extends ModelFlags, EngineFlags, ParallelFlags, PictureFlags, CodecFlags {
  readonly out: string;
  readonly tensor?: string;
  readonly batchSize: number;
  readonly shard?: JobPart;
  readonly json?: boolean;
}

/** One latent, for `--json`. */
interface Encoded {
  readonly source: string;
  /** The latent's file; in one file for all, `index` is its position. */
  readonly path: string;
  readonly index?: number;
  /** [L, h, w] */
  readonly shape: readonly number[];
  /** Of the picture, before cropping or padding. */
  readonly width: number;
  readonly height: number;
}

/** What `--out` may be. */
const KINDS: OutputKind[] = ["folder", "array", "stdout"];

export function encodeCommand(io: CliIo): Command {
  const command = new Command("encode")
    .summary("pictures to latents")
    .description(
      "Encodes pictures, or raw tensors [N,3,H,W] with values in [-1,1] (.npy, .safetensors), to latents.\n" +
        "Folders are searched for pictures, with their subfolders.",
    )
    .argument(
      "<inputs...>",
      "pictures, folders of pictures, .npy or .safetensors files, patterns as 'photos/*.jpg'; - for stdin",
    )
    .addOption(modelOption())
    .requiredOption(
      "-o, --out <path>",
      "a folder (one .npy [L,h,w] per input), one .npy or .safetensors file [N,L,h,w], or - for .npy on stdout; files are replaced",
    );
  addScaleOptions(command, "give latents in the scale that diffusion models see");
  command
    .option("--latent-channels <n>", "adaptive models (DC-AE 1.5): only the first channels", parseCount)
    .option("--sample", "SD-VAE: draw from the distribution instead of taking its mean")
    .option("--seed <n>", "with --sample: seed of the noise (default: 0)", parseSeed)
    .option("--tensor <name>", "which array of a .safetensors input");
  addPictureOptions(command);
  command
    .addOption(batchSizeOption())
    .addOption(tiledOption())
    .addOption(maxMemoryOption())
    .addOption(parallelOption("the tiles of every picture (with --max-memory)"))
    .addOption(shardOption());
  addAutoencoderOptions(addHubOptions(command)).option("--json", "print the result as JSON");
  addExamples(command, [
    {
      does: "one picture to one file",
      command: "dcae encode cat.jpg -m mit-han-lab/dc-ae-f64c128-in-1.0 --size-policy center-crop -o cat.npy",
    },
    {
      does: "a data set at 512x512, scaled for a diffusion model, one file per picture",
      command: "dcae encode photos/ -m ./dc-ae-f64c128 --size 512 --scaled --batch-size 8 -o latents/",
    },
    {
      does: "the same by an array of tasks, each with this command line",
      command: "dcae encode photos/ -m ./dc-ae-f64c128 --size 512 --scaled --batch-size 8 -o latents/ --shard auto",
    },
    { does: "through a pipe", command: "dcae encode - -m small-f32 --size 256 -o - < cat.jpg > cat.npy" },
    { does: "a raw tensor [N,3,H,W]", command: "dcae encode x.safetensors -m ./dc-ae-f64c128 -o z.safetensors" },
  ]);
  return command.action(async (inputs: string[], flags: EncodeFlags) => {
    return withRanks(flags, io, async (ranks, own) => {
      await together(ranks, "the options", async () => checkSharedTiles(flags, await outputKind(flags.out, KINDS)));
      return encode(inputs, ranksThreads(flags, ranks), own, ranks);
    });
  });
}

async function encode(
  inputs: readonly string[],
  flags: EncodeFlags,
  io: CliIo,
  ranks: Communicator | undefined,
): Promise<void> {
  checkCodecFlags(flags);
  const { out } = flags;
  const kind = await outputKind(out, KINDS);
  if (kind !== "folder" && flags.shard !== undefined) throw new UsageError("--shard needs a folder as --out");
  if (kind !== "folder" && flags.skipErrors === true) {
    throw new UsageError("--skip-errors needs a folder as --out: in one file, rows would no longer belong to inputs");
  }
  refuseJson(kind, flags);
  const { items, close } = await openItems(
    inputs,
    {
      folders: "pictures",
      accepts: ["pictures", "arrays"],
      what: "pictures",
      out,
      size: flags.size,
      tensor: flags.tensor,
    },
    io,
  );
  try {
    const paths = kind === "folder" ? await resultPaths(items, out, [".npy"]) : undefined;
    if (paths === undefined) await refuseInputs(out, items);
    const failures = paths && createFailures(io, "input", flags.skipErrors ?? false);
    const warn = createRangeWarning(io);

    const results = await withModel(
      flags,
      io,
      async (model) => {
        if (asksForSizePolicy(flags)) await askForSizePolicy(items, model.compression, io);
        const codec = createCodec(model, flags, io.signal, ranks);
        const key = { ...jobOptions("encode", flags), weights: await fingerprintOf(flags.shard, model) };
        const { shard, json, batchSize: blockSize } = flags;
        return shareItems<Encoded>({ out, shard, json, blockSize, key, items, paths, failures }, io, (todo, hooks) =>
          processItemsTo({ out, paths, tensorName: "latents" }, todo, io, {
            label: "encode",
            batchSize: flags.batchSize,
            // A second picture may be what doesn't fit.
            loadAhead: flags.maxMemory === undefined,
            fit: {
              channels: model.config.inChannels,
              multiple: model.compression,
              policy: flags.sizePolicy ?? "error",
            },
            ...hooks,
            compute: (batch) => {
              for (const loaded of batch.items) warn(loaded);
              const names = batch.items.map(({ item }) => item.name);
              return codec.encode(batch.tensor, names);
            },
            encode: async (latents) => encodeNpy(oneArray(latents)),
            save: async (path, latent) =>
              isFirst(ranks) ? writeNpyFile(path, latent.reshape(latent.shape.slice(1))) : undefined,
            describe,
          }),
        );
      },
      Math.ceil(items.length / flags.batchSize),
    );
    if (results === undefined) return;

    summarize(results, flags, io, failures?.list ?? []);
    failures?.finish(items.length);
  } finally {
    await close();
  }
}

function describe({ item, originalSize }: LoadedItem, shape: readonly number[], path: string, index?: number): Encoded {
  const [height, width] = originalSize;
  return { source: item.source, path, ...(index === undefined ? {} : { index }), shape: shape.slice(1), width, height };
}

/** Raw tensors that aren't quite in [-1, 1] (from 0 to 1, or normalized by mean and deviation) encode to latents of no use. */
function createRangeWarning(io: CliIo): (loaded: LoadedItem) => void {
  const warned = new Set<string>();
  return ({ item, tensor }) => {
    if (arrayFormatOf(item.path) === undefined || warned.has(item.path)) return;
    let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const value of tensor.toFloat32()) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    const isOfUnitRange = low >= 0 && high <= 1 && high - low > HALF_OF_UNIT_RANGE;
    if (!isOfUnitRange && !(Math.max(high, -low) > LARGEST_PLAUSIBLE)) return;
    warned.add(item.path);
    const advice = isOfUnitRange ? ": if 0 is black, give 2 * x - 1" : "";
    io.note(
      `dcae: warning: ${item.source}: values reach from ${low} to ${high}, but pictures are expected in [-1, 1]${advice}`,
    );
  };
}

function summarize(results: readonly Encoded[], flags: EncodeFlags, io: CliIo, failed: readonly object[]): void {
  const { model, out, scaled = false } = flags;
  if (flags.json === true) {
    io.json({ model, out, scaled, latents: results, failed });
    return;
  }
  const [first] = results;
  if (first === undefined) return;
  const shapes = new Set(results.map(({ shape }) => shape.join(", ")));
  const shape = shapes.size === 1 ? `[${first.shape.join(", ")}]` : `${shapes.size} different shapes`;
  tell(io, out, `${out}: ${plural(results.length, "latent")} of ${shape}${scaled ? ", scaled" : ""}`);
}

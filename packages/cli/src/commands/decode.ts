/** `dcae decode`: latents to pictures, or to raw tensors. */
import { saveImage, type Tensor, toImage } from "@dcae/core";
import { encodeImage } from "@dcae/core/image";
import { type Communicator, isFirst, type JobPart, together } from "@dcae/core/internal";
import { Command } from "commander";
import { type CliIo, plural } from "../cli-io.js";
import { type CodecFlags, checkCodecFlags, createCodec } from "../codec.js";
import { UsageError } from "../errors.js";
import { type OutputKind, outputKind } from "../files/paths.js";
import { type LoadedItem, openItems } from "../items/items.js";
import { createFailures, processItemsTo, refuseInputs, refuseJson, resultPaths, tell } from "../items/process-items.js";
import { fingerprintOf, jobOptions, shareItems } from "../items/share-work.js";
import {
  addScaleOptions,
  batchSizeOption,
  maxMemoryOption,
  skipErrorsOption,
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
import { shardOption } from "../options/shard-options.js";
import { addExamples } from "./command-group.js";

interface DecodeFlags
  extends ModelFlags,
    EngineFlags,
    ParallelFlags,
    Pick<CodecFlags, "scaled" | "scalingFactor" | "shiftFactor" | "tiled" | "maxMemory"> {
  readonly out: string;
  readonly tensor?: string;
  readonly batchSize: number;
  readonly skipErrors?: boolean;
  readonly shard?: JobPart;
  readonly json?: boolean;
}

/** One decoded latent, for `--json`. */
interface Decoded {
  readonly source: string;
  /** The picture; in one file for all, `index` is its position. */
  readonly path: string;
  readonly index?: number;
  readonly width: number;
  readonly height: number;
}

/** What `--out` may be. */
const KINDS: OutputKind[] = ["folder", "picture", "array", "stdout"];

export function decodeCommand(io: CliIo): Command {
  const command = new Command("decode")
    .summary("latents to pictures")
    .description(
      "Decodes latents [N,L,h,w] or [L,h,w] (.npy, .safetensors) to pictures or raw tensors.\n" +
        "Folders are searched for .npy and .safetensors files, with their subfolders.",
    )
    .argument(
      "<latents...>",
      ".npy or .safetensors files, folders of them, patterns as 'latents/*.npy'; - for .npy on stdin",
    )
    .addOption(modelOption())
    .requiredOption(
      "-o, --out <path>",
      "a folder (one .png per latent), one picture, - for .png on stdout, or one .npy or .safetensors file [N,3,H,W] with " +
        "values nominally in [-1,1], not clamped; files are replaced",
    );
  addScaleOptions(command, "the latents are in the scale that diffusion models see");
  command
    .option("--tensor <name>", "which array of a .safetensors input")
    .addOption(skipErrorsOption())
    .addOption(batchSizeOption())
    .addOption(tiledOption())
    .addOption(maxMemoryOption())
    .addOption(parallelOption("the tiles of every picture (with --max-memory)"))
    .addOption(shardOption());
  addAutoencoderOptions(addHubOptions(command)).option("--json", "print the result as JSON");
  addExamples(command, [
    { does: "one picture", command: "dcae decode cat.npy -m mit-han-lab/dc-ae-f64c128-in-1.0 -o cat.png" },
    {
      does: "all latents of a folder, as a diffusion model made them",
      command: "dcae decode latents/ -m ./dc-ae-f64c128 --scaled -o pictures/",
    },
    { does: "through a pipe", command: "dcae decode - -m small-f32 -o - < cat.npy > cat.png" },
    {
      does: "the second of eight processes",
      command: "dcae decode latents/ -m ./dc-ae-f64c128 -o pictures/ --shard 2/8",
    },
    {
      does: "a large picture by two processes, in tiles, to the same picture",
      command: "mpirun -n 2 dcae decode large.npy -m ./dc-ae-f64c128 -o large.png --parallel mpi --max-memory 2.2GB",
    },
    { does: "raw values", command: "dcae decode z.safetensors -m ./dc-ae-f64c128 -o x.npy" },
  ]);
  return command.action(async (inputs: string[], flags: DecodeFlags) => {
    return withRanks(flags, io, async (ranks, own) => {
      await together(ranks, "the options", async () => checkSharedTiles(flags, await outputKind(flags.out, KINDS)));
      return decode(inputs, ranksThreads(flags, ranks), own, ranks);
    });
  });
}

async function decode(
  inputs: readonly string[],
  flags: DecodeFlags,
  io: CliIo,
  ranks: Communicator | undefined,
): Promise<void> {
  checkCodecFlags(flags);
  const { out } = flags;
  const kind = await outputKind(out, KINDS);
  if (kind !== "folder" && flags.shard !== undefined) throw new UsageError("--shard needs a folder as --out");
  if (kind !== "folder" && flags.skipErrors === true) throw new UsageError("--skip-errors needs a folder as --out");
  refuseJson(kind, flags);
  const { items, close } = await openItems(
    inputs,
    {
      folders: "arrays",
      accepts: ["arrays"],
      what: "latents",
      out,
      tensor: flags.tensor,
    },
    io,
  );
  try {
    if ((kind === "picture" || kind === "stdout") && items.length !== 1) {
      throw new UsageError(`--out ${out}: one picture can't hold ${items.length} of them`, {
        hint: "Give a folder as --out.",
      });
    }
    const inFolder = kind === "folder" ? await resultPaths(items, out, [".png"]) : undefined;
    if (inFolder === undefined) await refuseInputs(out, items);
    const failures = inFolder && createFailures(io, "input", flags.skipErrors ?? false);
    const paths = kind === "picture" ? new Map(items.map((item) => [item, [out]])) : inFolder;

    const results = await withModel(
      flags,
      io,
      async (model) => {
        const codec = createCodec(model, flags, io.signal, ranks);
        const key = { ...jobOptions("decode", flags), weights: await fingerprintOf(flags.shard, model) };
        const { shard, json, batchSize: blockSize } = flags;
        return shareItems<Decoded>(
          { out, shard, json, blockSize, key, items, paths: inFolder, failures },
          io,
          (todo, hooks) =>
            processItemsTo({ out, paths, tensorName: "images" }, todo, io, {
              label: "decode",
              batchSize: flags.batchSize,
              // A second picture may be what doesn't fit.
              loadAhead: flags.maxMemory === undefined,
              ...hooks,
              compute: ({ tensor }) => codec.decode(tensor),
              encode: ([picture]) => encodeImage(toImage(picture as Tensor), "png"),
              save: async (path, picture) => (isFirst(ranks) ? saveImage(picture, path) : undefined),
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

function describe({ item }: LoadedItem, shape: readonly number[], path: string, index?: number): Decoded {
  const [height, width] = shape.slice(2) as [number, number];
  return { source: item.source, path, ...(index === undefined ? {} : { index }), width, height };
}

function summarize(results: readonly Decoded[], flags: DecodeFlags, io: CliIo, failed: readonly object[]): void {
  const { model, out, scaled = false } = flags;
  if (flags.json === true) {
    io.json({ model, out, scaled, pictures: results, failed });
    return;
  }
  if (results.length === 0) return;
  const sizes = new Set(results.map(({ width, height }) => `${width}x${height}`));
  const size = sizes.size === 1 ? [...sizes].join() : `${sizes.size} different sizes`;
  tell(io, out, `${out}: ${plural(results.length, "picture")} of ${size}`);
}

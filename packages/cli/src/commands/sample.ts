/** `dcae sample`: class labels to pictures, with a diffusion model. */
import { extname, join } from "node:path";
import { type Image, saveImage, type Tensor, tensorToImages } from "@dcae/core";
import { makeGrid } from "@dcae/core/image";
import { unlessAborted } from "@dcae/core/internal";
import type { ClassConditionalPipeline, GenerateOptions } from "@dcae/diffusion";
import { Command } from "commander";
import { type CliIo, plural } from "../cli-io.js";
import { UsageError } from "../errors.js";
import { makeFolder, writeArrayFile } from "../files/array-file.js";
import { type OutputKind, outputKind } from "../files/paths.js";
import { addEngineOptions, type EngineFlags } from "../options/engine-options.js";
import { parseCount, parseNames } from "../options/parse-values.js";
import {
  addDecoderOptions,
  addDenoiserOptions,
  addSamplingOptions,
  checkSamplingFlags,
  type DenoiserFlags,
  labelsOf,
  pipelineLabel,
  type SamplingFlags,
  samplingOptions,
  withPipeline,
} from "../options/sampling-options.js";
import { addExamples } from "./command-group.js";

interface SampleFlags extends DenoiserFlags, EngineFlags, SamplingFlags {
  readonly labels: readonly string[];
  readonly perLabel: number;
  readonly out: string;
  readonly columns?: number;
  readonly batchSize: number;
  readonly json?: boolean;
}

export function sampleCommand(io: CliIo): Command {
  const command = new Command("sample")
    .summary("class labels to pictures, with a diffusion model")
    .description(
      "Samples pictures with a class-conditional diffusion model and the autoencoder that its latents belong to.\n" +
        "Picture i gets its noise from the seed and i, whatever the batches are.",
    );
  addDenoiserOptions(command)
    .requiredOption(
      "--labels <list>",
      'classes, separated by commas: names of the training set\'s folders, numbers, or "null" for no class',
      parseNames,
    )
    .option("--per-label <n>", "pictures of each class", parseCount, 1);
  addSamplingOptions(command)
    .requiredOption(
      "-o, --out <path>",
      "one picture with all samples, a folder (one .png per sample), or a .npy or .safetensors file with the latents",
    )
    .option("--columns <n>", "pictures in a row (default: those of one class, or what makes a square)", parseCount);
  addDecoderOptions(command).option(
    "--batch-size <n>",
    "pictures at once; guidance doubles what the model sees",
    parseCount,
    8,
  );
  addEngineOptions(command).option("--json", "print the result as JSON");
  addExamples(command, [
    {
      does: "two pictures with a published model",
      command:
        "dcae sample -m mit-han-lab/dc-ae-f64c128-in-1.0-uvit-h-in-512px --labels 207,360 --cfg 1.5 --seed 0 -o grid.png",
    },
    {
      does: "eight of each class with a model of one's own",
      command: "dcae sample -m runs/scenes/model --labels city,forest --per-label 8 --cfg 2 --steps 20 -o grid.png",
    },
    { does: "latents alone", command: "dcae sample -m ./usit --labels 1,2,3 --sampler euler --steps 50 -o z.npy" },
  ]);
  return command.action((flags: SampleFlags) => sample(flags, io));
}

/** @throws UsageError for options without effect */
function checkFlags(flags: SampleFlags, kind: OutputKind): void {
  const { columns, autoencoder, optimize } = flags;
  const refuse = (useless: boolean, problem: string) => {
    if (useless) throw new UsageError(problem);
  };
  refuse(kind !== "picture" && columns !== undefined, "--columns has no effect without one picture as --out");
  refuse(kind === "array" && autoencoder !== undefined, "--autoencoder has no effect on latents");
  for (const [name, value] of [
    ["--scaling-factor", flags.scalingFactor],
    ["--shift-factor", flags.shiftFactor],
  ] as const) {
    refuse(kind === "array" && value !== undefined, `${name} has no effect on latents: they stay in the model's scale`);
  }
  refuse(kind === "array" && optimize === true, "--optimize has no effect on latents: it is about the autoencoder");
  checkSamplingFlags(flags);
}

async function sample(flags: SampleFlags, io: CliIo): Promise<void> {
  const { out } = flags;
  const kind = await outputKind(out, ["picture", "folder", "array"]);
  checkFlags(flags, kind);
  const names = await withPipeline(flags, kind === "array", io, async (pipeline) => {
    const chosen = labelsOf(pipeline.description, flags.labels);
    const repeated = chosen.flatMap((label) => Array.from({ length: flags.perLabel }, () => label));
    const labels = repeated.map(({ label }) => pipelineLabel(pipeline.description, label));
    const texts = repeated.map(({ name }) => name);
    const latents = await unlessAborted(pipeline.sampleLatents(generateOptions(flags, labels, io)), io.signal);
    if (kind === "array") await saveLatents(out, latents);
    else await savePictures(await decodeAll(pipeline, latents, io), texts, kind, flags);
    return texts;
  });
  report(names, flags, io);
}

function generateOptions(flags: SampleFlags, labels: GenerateOptions["labels"], io: CliIo): GenerateOptions {
  const { batchSize } = flags;
  return {
    labels,
    ...samplingOptions(flags),
    batchSize,
    signal: io.signal,
    onStep({ step, total }, first) {
      const last = Math.min(first + batchSize, labels.length);
      const detail = labels.length > batchSize ? `pictures ${first + 1} to ${last} of ${labels.length}` : "";
      io.progress.show({ label: "sample", done: step, total, detail });
    },
  };
}

/** One by one, which bounds the memory. */
async function decodeAll(pipeline: ClassConditionalPipeline, latents: Tensor, io: CliIo): Promise<Image[]> {
  const total = latents.shape[0] as number;
  const images: Image[] = [];
  for (let i = 0; i < total; i++) {
    io.progress.show({ label: "decode", done: i, total });
    const decoded = await unlessAborted(pipeline.decode(latents.slice([{ start: i, stop: i + 1 }])), io.signal);
    images.push(...tensorToImages(decoded));
  }
  return images;
}

function saveLatents(out: string, latents: Tensor): Promise<void> {
  return writeArrayFile({ path: out, count: latents.shape[0] as number, tensorName: "latents" }, (append) =>
    append(latents),
  );
}

async function savePictures(
  images: readonly Image[],
  names: readonly string[],
  kind: "picture" | "folder",
  { out, columns, perLabel }: SampleFlags,
): Promise<void> {
  if (kind === "picture") {
    await makeFolder(join(out, ".."));
    const across = columns ?? (perLabel > 1 ? perLabel : undefined);
    await saveImage(makeGrid(images, across === undefined ? {} : { columns: across }), out);
    return;
  }
  await makeFolder(out);
  for (const [i, image] of images.entries()) await saveImage(image, join(out, fileName(i, names)));
}

/** "03-forest.png" */
function fileName(index: number, names: readonly string[]): string {
  const number = String(index).padStart(String(names.length - 1).length, "0");
  return `${number}-${(names[index] as string).replace(/[^\w.-]+/g, "_")}.png`;
}

function report(names: readonly string[], flags: SampleFlags, io: CliIo): void {
  const { out, cfg, steps, sampler, seed = 0n, model } = flags;
  if (flags.json === true) {
    const about = { model, out, labels: names, cfg, sampler: sampler ?? null, steps: steps ?? null };
    io.json({ ...about, seed: String(seed) });
    return;
  }
  const isArray = [".npy", ".safetensors"].includes(extname(out).toLowerCase());
  io.out(`${out}: ${plural(names.length, isArray ? "latent" : "picture")}${cfg === 1 ? "" : `, guidance ${cfg}`}`);
}

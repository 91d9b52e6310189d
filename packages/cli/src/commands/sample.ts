/** `dcae sample`: class labels to pictures, with a diffusion model. */
import { access } from "node:fs/promises";
import { dirname, extname, join } from "node:path";
import { type Image, loadAutoencoder, saveImage, type Tensor, tensorToImages } from "@dcae/core";
import { weightsFingerprint } from "@dcae/core/checkpoint";
import { makeGrid } from "@dcae/core/image";
import { type JobPart, unlessAborted } from "@dcae/core/internal";
import type { Form } from "@dcae/core/runtime";
import type { ClassConditionalPipeline, GenerateOptions } from "@dcae/diffusion";
import { checkDecodes } from "@dcae/diffusion/internal";
import { Command } from "commander";
import { type CliIo, plural } from "../cli-io.js";
import { UsageError } from "../errors.js";
import { slugOf } from "../evaluation/evaluation-run.js";
import { makeFolder, writeArrayFile } from "../files/array-file.js";
import { type OutputKind, outputKind } from "../files/paths.js";
import { jobOptions, shareWork } from "../items/share-work.js";
import { addEngineOptions, type EngineFlags } from "../options/engine-options.js";
import { hubOptions } from "../options/model-options.js";
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
import { shardOption } from "../options/shard-options.js";
import { addExamples } from "./command-group.js";

interface SampleFlags extends DenoiserFlags, EngineFlags, Omit<SamplingFlags, "autoencoder"> {
  readonly autoencoder?: readonly string[];
  readonly labels: readonly string[];
  readonly perLabel: number;
  readonly out: string;
  readonly columns?: number;
  readonly batchSize: number;
  readonly shard?: JobPart;
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
      "one picture with all samples, a folder (one .png per sample), or a .npy or .safetensors file with the latents; with several " +
        "autoencoders a picture or a folder for each, called after it",
    )
    .option("--columns <n>", "pictures in a row (default: those of one class, or what makes a square)", parseCount);
  addDecoderOptions(command, true).option(
    "--batch-size <n>",
    "pictures at once; guidance doubles what the model sees",
    parseCount,
    8,
  );
  command.addOption(shardOption());
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
    {
      does: "what two autoencoders make of the same samples: grid-small-f32.png, grid-finetuned.png",
      command: "dcae sample -m usit-scenes --labels city,forest --autoencoder small-f32 runs/finetuned -o grid.png",
    },
    {
      does: "50000 pictures by an array of tasks, each with this command line",
      command: "dcae sample -m ./usit --labels 1,2,3,4,5 --per-label 10000 -o samples/ --shard auto",
    },
    { does: "latents alone", command: "dcae sample -m ./usit --labels 1,2,3 --sampler euler --steps 50 -o z.npy" },
  ]);
  return command.action((flags: SampleFlags) => sample(flags, io));
}

/** @throws UsageError for options without effect */
function checkFlags(flags: SampleFlags, kind: OutputKind): void {
  const { columns, autoencoder, optimize } = flags;
  outputsOf(flags);
  const refuse = (useless: boolean, problem: string) => {
    if (useless) throw new UsageError(problem);
  };
  refuse(kind !== "picture" && columns !== undefined, "--columns has no effect without one picture as --out");
  refuse(kind !== "folder" && flags.shard !== undefined, "--shard needs a folder as --out");
  refuse(kind === "array" && autoencoder !== undefined, "--autoencoder has no effect on latents");
  for (const [name, value] of [
    ["--scaling-factor", flags.scalingFactor],
    ["--shift-factor", flags.shiftFactor],
  ] as const) {
    refuse(kind === "array" && value !== undefined, `${name} has no effect on latents: they stay in the model's scale`);
  }
  refuse(
    kind === "array" && optimize !== undefined,
    `--${optimize ? "" : "no-"}optimize has no effect on latents: it is about the autoencoder`,
  );
  checkSamplingFlags(flags);
}

async function sample(flags: SampleFlags, io: CliIo): Promise<void> {
  const { out } = flags;
  const kind = await outputKind(out, ["picture", "folder", "array"]);
  checkFlags(flags, kind);
  const [autoencoder] = flags.autoencoder ?? [];
  const { autoencoder: _several, ...others } = flags;
  const loading = { ...others, ...(autoencoder === undefined ? {} : { autoencoder }) };
  const names = await withPipeline(loading, kind === "array", io, async (pipeline, form) =>
    withDecoders(pipeline, form, flags, io, async (decoders) => {
      const chosen = labelsOf(pipeline.description, flags.labels);
      const repeated = chosen.flatMap((label) => Array.from({ length: flags.perLabel }, () => label));
      const labels = repeated.map(({ label }) => pipelineLabel(pipeline.description, label));
      const texts = repeated.map(({ name }) => name);
      if (flags.shard !== undefined) {
        return sampleShard({ pipeline, decoders, labels, texts }, { ...flags, shard: flags.shard }, io);
      }
      const latents = await unlessAborted(pipeline.sampleLatents(generateOptions(flags, labels, io)), io.signal);
      if (kind === "array") {
        await saveLatents(out, latents);
        return texts;
      }
      for (const [path, decoder] of decoders) {
        await savePictures(await decodeAll(pipeline, decoder, latents, io), texts, kind, { ...flags, out: path });
      }
      return texts;
    }),
  );
  if (names !== undefined) report(names, flags, io);
}

interface ShardedSamples {
  readonly pipeline: ClassConditionalPipeline;
  /** By the folders of their pictures. */
  readonly decoders: ReadonlyMap<string, Decoding>;
  readonly labels: GenerateOptions["labels"];
  readonly texts: readonly string[];
}

/**
 * Samples the shard's batches, one after the other, and writes each at once.
 *
 * @returns the names of all samples; undefined where other shards are to come
 */
async function sampleShard(
  { pipeline, decoders, labels, texts }: ShardedSamples,
  flags: SampleFlags & { readonly shard: JobPart },
  io: CliIo,
): Promise<readonly string[] | undefined> {
  const { out, shard, json, batchSize, labels: _labels, ...settings } = flags;
  const weights = [pipeline.weights, ...[...decoders.values()].flatMap((decoder) => decoder.weights ?? [])];
  const fingerprints: string[] = [];
  for (const each of weights) fingerprints.push(await weightsFingerprint(each));
  const key = { ...jobOptions("sample", settings), labels: texts.join(), weights: fingerprints };
  const pathsOf = (position: number) => [...decoders.keys()].map((folder) => join(folder, fileName(position, texts)));
  const isThere = (position: number) =>
    Promise.all(pathsOf(position).map((path) => access(path))).then(
      () => true,
      () => false,
    );
  const job = { out, shard, json, count: texts.length, blockSize: batchSize, key, isThere };
  const whole = await shareWork<string>(job, io, async (positions, recorder) => {
    for (let at = 0; at < positions.length; ) {
      const first = positions[at] as number;
      const part = labels.slice(first, first + batchSize);
      const options = { ...generateOptions(flags, part, io), offset: first };
      const latents = await unlessAborted(pipeline.sampleLatents(options), io.signal);
      const paths = [...part.keys()].map((i) => pathsOf(first + i));
      for (const [which, decoder] of [...decoders.values()].entries()) {
        for (const [i, image] of (await decodeAll(pipeline, decoder, latents, io)).entries()) {
          const path = paths[i]?.[which] as string;
          await makeFolder(dirname(path));
          await saveImage(image, path);
        }
      }
      for (const i of part.keys()) recorder.done(first + i, texts[first + i] as string);
      at += part.length;
    }
  });
  return whole?.results;
}

/** Where the pictures of each autoencoder go: as `--out` says, with several of them called after them. */
function outputsOf({ out, autoencoder = [] }: SampleFlags): string[] {
  if (autoencoder.length < 2) return [out];
  const names = autoencoder.map(slugOf);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) {
    throw new UsageError(`--autoencoder: two are called ${twice}, and so would their pictures be`, {
      hint: "Decode with one after the other, or rename a folder.",
    });
  }
  const ending = extname(out);
  return names.map((name) => (ending === "" ? join(out, name) : `${out.slice(0, -ending.length)}-${name}${ending}`));
}

type Decoding = NonNullable<ClassConditionalPipeline["decoder"]>;

/**
 * Opens the autoencoders beside that of the pipeline before anything is sampled, checks that all of them can decode the samples, lets
 * `work` use them with their outputs, and frees them.
 */
async function withDecoders<T>(
  pipeline: ClassConditionalPipeline,
  form: Form,
  flags: SampleFlags,
  io: CliIo,
  work: (decoders: ReadonlyMap<string, Decoding>) => Promise<T>,
): Promise<T> {
  const { decoder, description } = pipeline;
  if (decoder === null) return work(new Map());
  const { device, threads, offline, cacheDir } = flags;
  const hub = { ...(offline === undefined ? {} : { offline }), ...(cacheDir === undefined ? {} : { cacheDir }) };
  const others: Decoding[] = [];
  try {
    for (const source of flags.autoencoder?.slice(1) ?? []) {
      const options = { ...hubOptions(hub, io), device, form, ...(threads === undefined ? {} : { threads }) };
      others.push(await unlessAborted(loadAutoencoder(source, options), io.signal));
    }
    const channels = flags.latentChannels ?? description.config.inChannels;
    const outputs = outputsOf(flags);
    const decoders = [decoder, ...others];
    for (const each of decoders) checkDecodes(each, channels, "a sample");
    return await work(new Map(decoders.map((each, i) => [outputs[i] as string, each])));
  } finally {
    if (!io.signal.aborted) for (const other of others) await other.dispose();
  }
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
async function decodeAll(
  pipeline: ClassConditionalPipeline,
  decoder: Decoding,
  latents: Tensor,
  io: CliIo,
): Promise<Image[]> {
  const total = latents.shape[0] as number;
  const images: Image[] = [];
  for (let i = 0; i < total; i++) {
    io.progress.show({ label: "decode", done: i, total });
    const decoded = await unlessAborted(
      pipeline.decode(latents.slice([{ start: i, stop: i + 1 }]), decoder),
      io.signal,
    );
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
    const several = (flags.autoencoder?.length ?? 0) > 1 ? { outputs: outputsOf(flags) } : {};
    io.json({ ...about, seed: String(seed), ...several });
    return;
  }
  const isArray = [".npy", ".safetensors"].includes(extname(out).toLowerCase());
  const outputs = isArray ? [out] : outputsOf(flags);
  for (const path of outputs)
    io.out(`${path}: ${plural(names.length, isArray ? "latent" : "picture")}${cfg === 1 ? "" : `, guidance ${cfg}`}`);
}

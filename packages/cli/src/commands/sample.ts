/** `dcae sample`: class labels to pictures, with a diffusion model. */
import { extname, join } from "node:path";
import { type Image, makeGrid, saveImage, type Tensor, tensorToImages } from "@dcae/core";
import { ClassConditionalPipeline, type GenerateOptions, SAMPLERS, type SamplerName } from "@dcae/diffusion";
import { Command, Option } from "commander";
import type { CliIo } from "../cli-io.js";
import { type OutputKind, outputKind } from "../files/output-target.js";
import { makeFolder, writeArrayFile } from "../files/write-array-file.js";
import { plural } from "../format-number.js";
import { unlessInterrupted } from "../interrupted.js";
import {
  addDenoiserOptions,
  type DenoiserFlags,
  denoiserOptions,
  denoiserSource,
} from "../options/denoiser-options.js";
import { addEngineOptions, type EngineFlags } from "../options/engine-options.js";
import { addExamples } from "../options/examples.js";
import { modelSource } from "../options/model-options.js";
import {
  parseCount,
  parseInterval,
  parseNames,
  parseNumber,
  parsePositiveNumber,
  parseSeed,
} from "../options/parse-values.js";
import { chooseLabels } from "../sampling/choose-labels.js";
import { UsageError } from "../usage-error.js";

interface SampleFlags extends DenoiserFlags, EngineFlags {
  readonly labels: readonly string[];
  readonly perLabel: number;
  readonly cfg: number;
  readonly guidanceInterval?: readonly [low: number, high: number];
  readonly guidanceChannels?: number;
  readonly sampler?: SamplerName;
  readonly steps?: number;
  readonly seed?: bigint;
  readonly out: string;
  readonly columns?: number;
  readonly autoencoder?: string;
  readonly scalingFactor?: number;
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
      "classes, separated by commas: names of the training set's folders, or numbers",
      parseNames,
    )
    .option("--per-label <n>", "pictures of each class", parseCount, 1)
    .option("--cfg <scale>", "scale of classifier-free guidance; 1 is none", parseNumber, 1)
    .option(
      "--guidance-interval <low,high>",
      "model times between which guidance acts (default: always)",
      parseInterval,
    )
    .option("--guidance-channels <n>", "how many of the first channels are guided (default: all)", parseCount)
    .addOption(
      new Option("--sampler <name>", "default: the one that the model was published with").choices([...SAMPLERS]),
    )
    .option("--steps <n>", "steps of the sampler (default: the sampler's own)", parseCount)
    .option("--seed <n>", "of the noise (default: 0)", parseSeed)
    .requiredOption(
      "-o, --out <path>",
      "one picture with all samples, a folder (one .png per sample), or a .npy or .safetensors file with the latents",
    )
    .option("--columns <n>", "pictures in a row (default: those of one class, or what makes a square)", parseCount)
    .option("--autoencoder <model>", "decodes with this one instead of the model's own")
    .option("--scaling-factor <x>", "of the latents, instead of the model's", parsePositiveNumber)
    .option("--batch-size <n>", "pictures at once; guidance doubles what the model sees", parseCount, 8);
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
function checkFlags(
  { columns, autoencoder, optimize, cfg, guidanceInterval, guidanceChannels }: SampleFlags,
  kind: OutputKind,
): void {
  const refuse = (useless: boolean, problem: string) => {
    if (useless) throw new UsageError(problem);
  };
  refuse(kind !== "picture" && columns !== undefined, "--columns has no effect without one picture as --out");
  refuse(kind === "array" && autoencoder !== undefined, "--autoencoder has no effect on latents");
  refuse(kind === "array" && optimize === true, "--optimize has no effect on latents: it is about the autoencoder");
  refuse(
    cfg === 1 && (guidanceInterval !== undefined || guidanceChannels !== undefined),
    "--guidance-interval and --guidance-channels have no effect without guidance, as of --cfg 1.5",
  );
}

async function sample(flags: SampleFlags, io: CliIo): Promise<void> {
  const { out } = flags;
  const kind = await outputKind(out, ["picture", "folder", "array"]);
  checkFlags(flags, kind);
  const pipeline = await open(flags, kind === "array", io);
  let names: readonly string[];
  try {
    const chosen = chooseLabels(pipeline.description, flags.labels);
    names = chosen.flatMap(({ name }) => Array.from({ length: flags.perLabel }, () => name));
    const labels = chosen.flatMap(({ label }) => Array.from({ length: flags.perLabel }, () => label));
    const latents = await unlessInterrupted(pipeline.sampleLatents(generateOptions(flags, labels, io)), io.signal);
    if (kind === "array") await saveLatents(out, latents);
    else await savePictures(await decodeAll(pipeline, latents, io), names, kind, flags);
  } finally {
    io.progress.clear();
    // After an interruption there may be a computation that this would wait for.
    if (!io.signal.aborted) await pipeline.dispose();
  }
  report(names, flags, io);
}

async function open(flags: SampleFlags, latentsOnly: boolean, io: CliIo): Promise<ClassConditionalPipeline> {
  const { device, dtype, threads, optimize = false, autoencoder, scalingFactor } = flags;
  io.progress.show({ label: "loading", done: 0, total: 1, detail: flags.model });
  const options = {
    ...(await denoiserOptions(flags, io)),
    device,
    dtype,
    optimize,
    ...(threads === undefined ? {} : { threads }),
    autoencoder: latentsOnly ? null : autoencoder === undefined ? undefined : await modelSource(autoencoder, {}),
    scalingFactor,
  };
  const source = await denoiserSource(flags.model);
  return unlessInterrupted(ClassConditionalPipeline.fromPretrained(source, options), io.signal);
}

function generateOptions(flags: SampleFlags, labels: readonly number[], io: CliIo): GenerateOptions {
  const { cfg, guidanceInterval, guidanceChannels, sampler, steps, seed, batchSize } = flags;
  return {
    labels,
    guidance: cfg,
    ...(guidanceInterval === undefined ? {} : { guidanceInterval }),
    ...(guidanceChannels === undefined ? {} : { guidanceChannels }),
    ...(sampler === undefined ? {} : { sampler }),
    ...(steps === undefined ? {} : { steps }),
    ...(seed === undefined ? {} : { seed }),
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
    const decoded = await unlessInterrupted(pipeline.decode(latents.slice([{ start: i, stop: i + 1 }])), io.signal);
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
    io.out(JSON.stringify({ ...about, seed: String(seed) }, undefined, 2));
    return;
  }
  const isArray = [".npy", ".safetensors"].includes(extname(out).toLowerCase());
  io.out(`${out}: ${plural(names.length, isArray ? "latent" : "picture")}${cfg === 1 ? "" : `, guidance ${cfg}`}`);
}

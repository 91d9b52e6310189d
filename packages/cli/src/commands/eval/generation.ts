/** `dcae eval generation`: how close samples come to a reference. */
import { join } from "node:path";
import { DataError } from "@dcae/core";
import { writeFileAtomic } from "@dcae/core/checkpoint";
import type { Form } from "@dcae/core/runtime";
import {
  type EvaluationResult,
  evaluateGeneration,
  type GenerationOptions,
  METRICS,
  type PictureSource,
  type Protocol,
} from "@dcae/eval";
import { GENERATION_METRICS, searchGuidance } from "@dcae/eval/internal";
import { Command } from "commander";
import type { CliIo } from "../../cli-io.js";
import {
  addGenerationOptions,
  checkGenerationFlags,
  type GenerationFlags,
  networkOptions,
  protocolOf,
} from "../../evaluation/evaluation-options.js";
import {
  checkComplete,
  finishEvaluation,
  type ResultFolder,
  showProgress,
  slugOf,
  withResultFolder,
} from "../../evaluation/evaluation-run.js";
import {
  findReference,
  keepPictures,
  openPictures,
  sampledSource,
  spreadPositions,
} from "../../evaluation/pictures.js";
import { describeForm, withEngine } from "../../options/engine-options.js";
import { parseListOf } from "../../options/parse-values.js";
import { labelsOf, samplingOptions, withPipeline } from "../../options/sampling-options.js";
import { addExamples } from "../command-group.js";

export function evalGenerationCommand(io: CliIo): Command {
  const command = new Command("generation")
    .summary("FID, sFID, IS, precision, recall and CMMD of samples")
    .description(
      "Compares generated pictures with a reference: pictures, or statistics of `dcae eval stats` and other tools. The " +
        "pictures are samples on disk, or made by a diffusion model for uniform random classes. Writes result.json and " +
        "report.html. A run that was stopped or killed goes on when it is started again. Metrics whose network weights or " +
        "reference aren't here are named.",
    )
    .option("--images <dir>", "samples: a folder of pictures (with its subfolders), or .npz archive in ADM's layout")
    .option("-m, --model <model>", "instead: a diffusion model to sample, as for `dcae sample`")
    .option(
      "--reference <dir|npz>",
      "what to compare with: a folder of pictures, statistics (.npz), or an archive of ADM; IS needs none",
    )
    .option(
      "--metrics <list>",
      `of ${GENERATION_METRICS.join(", ")} (default: all that can be computed)`,
      parseListOf(GENERATION_METRICS),
    );
  addGenerationOptions(command);
  addExamples(command, [
    {
      does: "samples against the statistics of a training set",
      command: "dcae eval generation --images samples/ --reference imagenet-512.npz --metrics fid,is",
    },
    {
      does: "a model, as in the paper's tables",
      command: "dcae eval generation -m dc-ae-f64c128-in-1.0-uvit-h-in-512px --cfg 1.5 --reference imagenet-512.npz",
    },
    {
      does: "50000 samples by an array of tasks, which make and measure them; the last one writes the result",
      command: "dcae eval generation -m ./uvit-h --cfg 1.5 --reference imagenet-512.npz -o results/uvit-h --shard auto",
    },
    {
      does: "which guidance scale is the best, among the published grid",
      command: "dcae eval generation -m runs/uvit-h/model --search-cfg fid --reference imagenet-512.npz --count 5000",
    },
    {
      does: "everything, against pictures, as ADM's evaluator does it",
      command: "dcae eval generation --images samples.npz --reference VIRTUAL_imagenet512.npz --protocol adm",
    },
  ]);
  return command.action((flags: GenerationFlags) => {
    checkGenerationFlags(flags, command);
    return evaluate(flags, io);
  });
}

async function evaluate(flags: GenerationFlags, io: CliIo): Promise<void> {
  const { images, model, limit } = flags;
  const protocol = protocolOf(flags, { preset: flags.protocol });
  const reference = await findReference(flags.reference, protocol, io);
  const subject = images ?? (model as string);
  const name = [slugOf(subject), ...(flags.reference === undefined ? [] : ["to", slugOf(flags.reference)])].join("-");
  const result = await withResultFolder(flags, name, io, async (folder) => {
    if (images !== undefined) {
      const source = await openPictures(images, protocol, { option: "--images", limit }, io);
      return (await compute(source, { reference, protocol, subject }, folder.parts, flags, io)).finish(
        folder,
        flags,
        io,
      );
    }
    return withSamples(subject, protocol, flags, io, async (sourceOf, form) => {
      const at = async (chosen: GenerationFlags, parts: string) => {
        const settings = describeSampling(chosen, form);
        return compute(await sourceOf(chosen), { reference, protocol, subject, settings }, parts, chosen, io);
      };
      if (flags.searchCfg === undefined) return (await at(flags, folder.parts)).finish(folder, flags, io);
      return searchScale(flags, flags.searchCfg, at, folder, io);
    });
  });
  if (result !== undefined) checkComplete(result, flags);
}

/**
 * Measures one guidance scale after the other, each in parts of its own, so that a search that was stopped goes on; what is reported is
 * the best one, with all that were tried in search.json.
 */
async function searchScale(
  flags: GenerationFlags,
  metric: NonNullable<GenerationFlags["searchCfg"]>,
  at: (chosen: GenerationFlags, parts: string) => Promise<Computed>,
  folder: ResultFolder,
  io: CliIo,
): Promise<EvaluationResult> {
  const computed = new Map<number, Computed>();
  const { best, tried } = await searchGuidance(async (cfg) => {
    const one = await at({ ...flags, cfg }, join(folder.parts, `cfg-${cfg}`));
    const value = one.result.metrics[metric]?.value;
    if (value === undefined) {
      const missing = one.result.missing.find(({ metric: name }) => name === metric);
      throw new DataError(`--search-cfg ${metric}: ${missing?.reason ?? "it couldn't be computed"}`, {
        ...(missing?.hint === undefined ? {} : { hint: missing.hint }),
      });
    }
    computed.set(cfg, one);
    io.progress.clear();
    io.note(`dcae: guidance ${cfg}: ${METRICS[metric].label} ${value.toFixed(METRICS[metric].digits)}`);
    return value;
  }, flags.cfgGrid);
  const text = `${JSON.stringify({ metric, best, tried }, undefined, 2)}\n`;
  await writeFileAtomic(join(folder.path, "search.json"), (file) => file.write(new TextEncoder().encode(text)));
  return (computed.get(best) as Computed).finish(folder, flags, io);
}

/** What a reader must know to make the samples again. */
function describeSampling(flags: GenerationFlags, form: Form): Readonly<Record<string, string | number>> {
  const {
    cfg,
    sampler,
    steps,
    seed = 0n,
    labels,
    guidanceInterval,
    guidanceChannels,
    latentChannels,
    samplingBatch,
  } = flags;
  const { autoencoder, scalingFactor, shiftFactor } = flags;
  return {
    guidance: cfg,
    ...(guidanceInterval && { "guidance interval": guidanceInterval.join(" to ") }),
    ...(guidanceChannels && { "guided channels": guidanceChannels }),
    ...(latentChannels && { "latent channels": latentChannels }),
    sampler: sampler ?? "the model's",
    steps: steps ?? "the sampler's",
    seed: String(seed),
    classes: labels?.join(", ") ?? "all",
    "sampled together": samplingBatch,
    "computed in": describeForm(form).join(", "),
    ...(autoencoder !== undefined && { "decoded by": autoencoder }),
    ...(scalingFactor !== undefined && { "scaling factor": scalingFactor }),
    ...(shiftFactor !== undefined && { "shift factor": shiftFactor }),
  };
}

/** What decides the pictures beside the models and the sampling: a run with other settings isn't gone on with. */
export function decodingSettings(
  { device, scalingFactor, shiftFactor }: Pick<GenerationFlags, "device" | "scalingFactor" | "shiftFactor">,
  form: Form,
): string[] {
  return [
    device,
    ...describeForm(form),
    ...(scalingFactor === undefined ? [] : [`scaling factor ${scalingFactor}`]),
    ...(shiftFactor === undefined ? [] : [`shift factor ${shiftFactor}`]),
  ];
}

/** Loads the diffusion model and gives `work` its samples, by how they are to be sampled. */
function withSamples<T>(
  model: string,
  protocol: Protocol,
  flags: GenerationFlags,
  io: CliIo,
  work: (sourceOf: (chosen: GenerationFlags) => Promise<PictureSource>, form: Form) => Promise<T>,
): Promise<T> {
  return withPipeline({ ...flags, model }, false, io, async (pipeline, form) => {
    const { count, labels, samplingBatch } = flags;
    const { numClasses } = pipeline.description.config;
    const all = numClasses === 0 ? null : Array.from({ length: numClasses }, (_, label) => label);
    const classes = labels === undefined ? all : labelsOf(pipeline.description, labels).map(({ label }) => label);
    const sourceOf = (chosen: GenerationFlags) =>
      sampledSource(pipeline, {
        count,
        classes,
        sampling: samplingOptions(chosen),
        batchSize: samplingBatch,
        protocol,
        settings: decodingSettings(flags, form),
        signal: io.signal,
      });
    return work(sourceOf, form);
  });
}

/** A result that isn't written yet. */
interface Computed {
  readonly result: EvaluationResult;
  /** Writes result and report. */
  finish(folder: ResultFolder, flags: GenerationFlags, io: CliIo): Promise<EvaluationResult>;
}

async function compute(
  source: PictureSource,
  about: Pick<GenerationOptions, "reference" | "protocol" | "subject" | "settings">,
  parts: string,
  flags: GenerationFlags,
  io: CliIo,
): Promise<Computed> {
  // Samples of a model have random classes, and the first ones are the cheapest to make again.
  const among = flags.images === undefined ? Math.min(flags.samples, source.count) : source.count;
  const samples = keepPictures(source, spreadPositions(among, flags.samples));
  const result = await withEngine(flags, io, (engine) =>
    evaluateGeneration({
      ...about,
      samples: samples.source,
      metrics: flags.metrics,
      engine,
      weights: networkOptions(flags),
      batchSize: flags.batchSize,
      workFolder: parts,
      part: flags.shard,
      signal: io.signal,
      onProgress: showProgress(io),
    }),
  );
  return {
    result,
    async finish(folder, chosen, to) {
      to.progress.show({ label: "report", done: 0, total: 1 });
      await finishEvaluation(result, { samples: await samples.pictures() }, folder, chosen, to);
      return result;
    },
  };
}

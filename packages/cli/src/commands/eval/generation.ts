/** `dcae eval generation`: how close samples come to a reference. */
import { stat } from "node:fs/promises";
import { DataError } from "@dcae/core";
import {
  type EvaluationResult,
  evaluateGeneration,
  GENERATION_METRICS,
  type GenerationMetric,
  openReference,
  type PictureSource,
  type Protocol,
  type Reference,
} from "@dcae/eval";
import { Command } from "commander";
import type { CliIo } from "../../cli-io.js";
import { checkComplete, finishEvaluation } from "../../evaluation/finish-evaluation.js";
import { keepFirst } from "../../evaluation/keep-first.js";
import { addNetworkOptions, type NetworkFlags, networkOptions } from "../../evaluation/network-options.js";
import { openPictures } from "../../evaluation/open-pictures.js";
import {
  addProtocolOptions,
  type ProtocolFlags,
  type ProtocolNameFlag,
  protocolOf,
  protocolOption,
} from "../../evaluation/protocol-options.js";
import {
  addResultFolderOptions,
  type ResultFolderFlags,
  slugOf,
  withResultFolder,
} from "../../evaluation/result-folder.js";
import { showProgress } from "../../evaluation/show-progress.js";
import { skipErrorsOption } from "../../options/codec-options.js";
import { addDeviceOptions, type DeviceFlags, withEngine } from "../../options/engine-options.js";
import { addExamples } from "../../options/examples.js";
import { parseCount, parseListOf, parseWhole } from "../../options/parse-values.js";

interface EvalGenerationFlags extends ProtocolFlags, ProtocolNameFlag, NetworkFlags, ResultFolderFlags, DeviceFlags {
  readonly images: string;
  readonly reference?: string;
  readonly metrics?: GenerationMetric[];
  readonly batchSize?: number;
  readonly samples: number;
  readonly skipErrors?: boolean;
  readonly json?: boolean;
}

export function evalGenerationCommand(io: CliIo): Command {
  const command = new Command("generation")
    .summary("FID, sFID, IS, precision, recall and CMMD of samples")
    .description(
      "Compares generated pictures with a reference: pictures, or statistics of `dcae eval stats` and other tools. Writes " +
        "result.json and report.html. A run that was stopped or killed goes on when it is started again. Metrics whose " +
        "network weights or reference aren't here are named.",
    )
    .requiredOption("--images <dir>", "folder of samples (with its subfolders), or .npz archive in ADM's layout")
    .option(
      "--reference <dir|npz>",
      "what to compare with: a folder of pictures, statistics (.npz), or an archive of ADM; IS needs none",
    )
    .option(
      "--metrics <list>",
      `of ${GENERATION_METRICS.join(", ")} (default: all that can be computed)`,
      parseListOf(GENERATION_METRICS),
    );
  addResultFolderOptions(addProtocolOptions(command))
    .addOption(protocolOption())
    .option("--batch-size <n>", "pictures that go through a network together (default: by their size)", parseCount)
    .option("--samples <n>", "pictures to show in the report", parseWhole, 24)
    .addOption(skipErrorsOption());
  addDeviceOptions(addNetworkOptions(command)).option("--json", "print the result as JSON");
  addExamples(command, [
    {
      does: "samples against the statistics of a training set",
      command: "dcae eval generation --images samples/ --reference imagenet-512.npz --metrics fid,is",
    },
    {
      does: "everything, against pictures, as ADM's evaluator does it",
      command: "dcae eval generation --images samples.npz --reference VIRTUAL_imagenet512.npz --protocol adm",
    },
  ]);
  return command.action((flags: EvalGenerationFlags) => evaluate(flags, io));
}

async function evaluate(flags: EvalGenerationFlags, io: CliIo): Promise<void> {
  const { images, limit } = flags;
  const protocol = protocolOf(flags, { preset: flags.protocol });
  const source = await openPictures(images, protocol, { option: "--images", limit });
  const reference = await findReference(flags, protocol);
  const name = [slugOf(images), ...(flags.reference === undefined ? [] : ["to", slugOf(flags.reference)])].join("-");
  const result = await withResultFolder(flags, name, io, async (folder) => {
    const samples = keepFirst(source, flags.samples);
    const measured = await measure(samples.source, reference, protocol, folder.parts, flags, io);
    await finishEvaluation(measured, { samples: await samples.pictures() }, folder, flags, io);
    return measured;
  });
  checkComplete(result, flags);
}

async function findReference({ reference }: EvalGenerationFlags, protocol: Protocol): Promise<Reference | undefined> {
  if (reference === undefined) return undefined;
  const status = await stat(reference).catch(() => undefined);
  if (status === undefined) throw new DataError(`--reference ${reference}: no such folder or file`);
  return openReference(reference, protocol);
}

function measure(
  samples: PictureSource,
  reference: Reference | undefined,
  protocol: Protocol,
  workFolder: string,
  flags: EvalGenerationFlags,
  io: CliIo,
): Promise<EvaluationResult> {
  const { metrics, batchSize } = flags;
  const onProgress = showProgress(io);
  return withEngine(flags, io, (engine) =>
    evaluateGeneration({
      samples,
      reference,
      protocol,
      metrics,
      engine,
      weights: networkOptions(flags),
      batchSize,
      workFolder,
      signal: io.signal,
      onProgress,
    }),
  );
}

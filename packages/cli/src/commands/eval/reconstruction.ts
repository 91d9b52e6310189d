/** `dcae eval reconstruction`: how well an autoencoder gives pictures back. */
import { weightsFingerprint } from "@dcae/core/checkpoint";
import type { ModelForm } from "@dcae/core/internal";
import type { LpipsTrunk } from "@dcae/core/nets";
import {
  type EvaluationResult,
  evaluateReconstruction,
  makeExamples,
  type Protocol,
  type ReconstructionOptions,
  type Reconstructor,
} from "@dcae/eval";
import { RECONSTRUCTION_METRICS, type ReconstructionMetric } from "@dcae/eval/internal";
import { Command, Option } from "commander";
import type { CliIo } from "../../cli-io.js";
import { type CodecFlags, createCodec } from "../../codec.js";
import {
  addNetworkOptions,
  addProtocolOptions,
  type NetworkFlags,
  networkOptions,
  type ProtocolFlags,
  protocolOf,
} from "../../evaluation/evaluation-options.js";
import {
  addResultFolderOptions,
  checkComplete,
  finishEvaluation,
  type ResultFolder,
  type ResultFolderFlags,
  showProgress,
  slugOf,
  withResultFolder,
} from "../../evaluation/evaluation-run.js";
import { openPictures } from "../../evaluation/pictures.js";
import { skipErrorsOption, tiledOption } from "../../options/codec-options.js";
import {
  addAutoencoderOptions,
  describeForm,
  type EngineFlags,
  type Model,
  withEngine,
  withModel,
} from "../../options/engine-options.js";
import { addHubOptions, type ModelFlags, modelOption } from "../../options/model-options.js";
import { parseCount, parseListOf, parseWhole } from "../../options/parse-values.js";
import { addExamples } from "../command-group.js";

interface EvalReconstructionFlags
  extends ModelFlags,
    EngineFlags,
    ReconstructorFlags,
    ProtocolFlags,
    NetworkFlags,
    ResultFolderFlags {
  readonly data: string;
  readonly metrics?: ReconstructionMetric[];
  readonly ssimBorder?: Protocol["ssimBorder"];
  readonly lpipsTrunk?: LpipsTrunk;
  readonly batchSize?: number;
  readonly examples: number;
  readonly skipErrors?: boolean;
  readonly json?: boolean;
}

export function evalReconstructionCommand(io: CliIo): Command {
  const command = new Command("reconstruction")
    .summary("rFID, PSNR, SSIM and LPIPS of an autoencoder")
    .description(
      "Sends pictures through an autoencoder and measures what was lost. Writes result.json, with the protocol and the " +
        "values of every picture, and report.html, with the worst and best reconstructions side by side. A run that was " +
        "stopped or killed goes on when it is started again. Metrics whose network weights aren't here are named.",
    )
    .addOption(modelOption())
    .requiredOption("--data <dir>", "folder of pictures (with its subfolders), or .npz archive in ADM's layout")
    .option(
      "--metrics <list>",
      `of ${RECONSTRUCTION_METRICS.join(", ")} (default: all that can be computed)`,
      parseListOf(RECONSTRUCTION_METRICS),
    );
  addResultFolderOptions(addProtocolOptions(command))
    .addOption(
      new Option(
        "--ssim-border <which>",
        "average SSIM over the whole map (default) or without its outer 5 pixels",
      ).choices(["whole", "cropped"]),
    )
    .addOption(
      new Option("--lpips-trunk <name>", "network of LPIPS: that of published tables (alex, default) or vgg").choices([
        "alex",
        "vgg",
      ]),
    )
    .option("--latent-channels <n>", "adaptive models (DC-AE 1.5): only the first channels", parseCount)
    .option("--batch-size <n>", "pictures that go through the model together (default: by their size)", parseCount)
    .addOption(tiledOption())
    .option("--examples <n>", "worst and best pictures in the report, of each", parseWhole, 4)
    .addOption(skipErrorsOption());
  addNetworkOptions(command);
  addAutoencoderOptions(addHubOptions(command)).option("--json", "print the result as JSON");
  addExamples(command, [
    {
      does: "as in the paper's tables",
      command: 'dcae eval reconstruction -m ./dc-ae-f64c128 --data imagenet/val --size 512 --split "ImageNet val"',
    },
    {
      does: "a quick look, without any network weights",
      command: "dcae eval reconstruction -m ./model --data photos/ --size 256 --metrics psnr,ssim --limit 100",
    },
    {
      does: "one task of an array, all of which have this command line; the last one writes the result",
      command: "dcae eval reconstruction -m ./dc-ae-f64c128 --data imagenet/val --size 512 -o results/f64 --shard auto",
    },
    {
      does: "pictures as they are",
      command: "dcae eval reconstruction -m dc-ae-f32c32-sana-1.1 --data crops-1024/ -o results/sana",
    },
  ]);
  return command.action((flags: EvalReconstructionFlags) => evaluate(flags, io));
}

async function evaluate(flags: EvalReconstructionFlags, io: CliIo): Promise<void> {
  const { model, data, size, limit, ssimBorder, lpipsTrunk } = flags;
  const protocol = protocolOf(flags, {
    ...(ssimBorder === undefined ? {} : { ssimBorder }),
    ...(lpipsTrunk === undefined ? {} : { lpipsTrunk }),
  });
  const source = await openPictures(data, protocol, { option: "--data", limit }, io);
  const name = [slugOf(model), slugOf(data), ...(size === undefined ? [] : [`${size[1]}x${size[0]}`])].join("-");
  const result = await withResultFolder(flags, name, io, (folder) =>
    withModel(flags, io, async (loaded, form) => {
      const reconstructor = await modelReconstructor(loaded, form, flags, io);
      return measure({ source, model: reconstructor, protocol }, folder, flags, io);
    }),
  );
  if (result !== undefined) checkComplete(result, flags);
}

/** The metrics' networks compute in float32, whatever the model does. */
function measure(
  subject: Pick<ReconstructionOptions, "source" | "model" | "protocol">,
  folder: ResultFolder,
  flags: EvalReconstructionFlags,
  io: CliIo,
): Promise<EvaluationResult> {
  return withEngine(flags, io, async (engine) => {
    const result = await evaluateReconstruction({
      ...subject,
      metrics: flags.metrics,
      engine,
      weights: networkOptions(flags),
      batchSize: flags.batchSize,
      workFolder: folder.parts,
      part: flags.shard,
      signal: io.signal,
      onProgress: showProgress(io),
    });
    io.progress.show({ label: "report", done: 0, total: 1 });
    const examples = await makeExamples({ ...subject, result, count: flags.examples });
    await finishEvaluation(result, { examples }, folder, flags, io);
    return result;
  });
}

// A loaded autoencoder as what an evaluation judges, with the options that change its pictures.

type ReconstructorFlags = Pick<CodecFlags, "latentChannels" | "tiled"> &
  Pick<EngineFlags, "calibration"> & { readonly model: string };

/** The model stays the caller's. */
async function modelReconstructor(
  model: Model,
  form: ModelForm,
  flags: ReconstructorFlags,
  io: CliIo,
): Promise<Reconstructor> {
  const codec = createCodec(model, flags, io.signal);
  const { latentChannels, tiled, calibration } = flags;
  const settings = [
    model.engine.name,
    ...describeForm(form),
    ...(calibration === undefined ? [] : [`calibrated on ${calibration.join(" ")}`]),
    ...(tiled === true ? ["tiled"] : []),
    ...(latentChannels === undefined ? [] : [`${latentChannels} latent channels`]),
  ];
  io.progress.show({ label: "reading weights", done: 0, total: 1, detail: model.name });
  return {
    // As the user calls it: the path behind a name says less.
    name: flags.model,
    fingerprint: await weightsFingerprint(model.weights),
    engine: settings.join(", "),
    multiple: model.compression,
    async reconstruct(pictures) {
      const latent = await codec.encode(pictures, []);
      return { pictures: await codec.decode(latent), latent };
    },
  };
}

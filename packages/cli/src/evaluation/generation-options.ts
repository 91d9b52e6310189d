/** The options of `dcae eval generation`: about the pictures, and about the model that makes them, if one does. */
import type { GenerationMetric } from "@dcae/eval";
import type { Command } from "commander";
import { skipErrorsOption } from "../options/codec-options.js";
import { addDenoiserFileOptions } from "../options/denoiser-options.js";
import { addEngineOptions, type EngineFlags } from "../options/engine-options.js";
import type { HubFlags } from "../options/model-options.js";
import { parseCount, parseNames, parseWhole } from "../options/parse-values.js";
import {
  addDecoderOptions,
  addSamplingOptions,
  checkSamplingFlags,
  type SamplingFlags,
} from "../options/sampling-options.js";
import { UsageError } from "../usage-error.js";
import { addNetworkOptions, type NetworkFlags } from "./network-options.js";
import { addProtocolOptions, type ProtocolFlags, type ProtocolNameFlag, protocolOption } from "./protocol-options.js";
import { addResultFolderOptions, type ResultFolderFlags } from "./result-folder.js";

export interface GenerationFlags
  extends ProtocolFlags,
    ProtocolNameFlag,
    NetworkFlags,
    ResultFolderFlags,
    HubFlags,
    EngineFlags,
    SamplingFlags {
  readonly images?: string;
  readonly model?: string;
  readonly reference?: string;
  readonly metrics?: GenerationMetric[];
  readonly batchSize?: number;
  /** How many pictures the report shows. */
  readonly samples: number;
  readonly skipErrors?: boolean;
  readonly json?: boolean;
  readonly count: number;
  readonly labels?: string[];
  readonly samplingBatch: number;
}

/** As in the published evaluations. */
const PUBLISHED_COUNT = 50_000;

/** Option values that only a model has use for. */
const OF_MODELS = [
  ...["count", "labels", "samplingBatch", "cfg", "guidanceInterval", "guidanceChannels", "sampler", "steps", "seed"],
  ...["autoencoder", "scalingFactor", "config", "revision", "subfolder", "offline", "cacheDir", "dtype", "optimize"],
];
/** And those that only pictures on disk have use for. */
const OF_IMAGES = ["limit", "skipErrors"];

export function addGenerationOptions(command: Command): void {
  addResultFolderOptions(addProtocolOptions(command))
    .addOption(protocolOption())
    .option("--batch-size <n>", "pictures that go through a network together (default: by their size)", parseCount)
    .option("--samples <n>", "pictures to show in the report", parseWhole, 24)
    .addOption(skipErrorsOption())
    .option("--count <n>", "with --model: how many pictures to sample", parseCount, PUBLISHED_COUNT)
    .option("--labels <list>", "with --model: classes to draw from (default: all)", parseNames)
    .option("--sampling-batch <n>", "with --model: pictures that are sampled together", parseCount, 8);
  addDecoderOptions(addSamplingOptions(command));
  addEngineOptions(addNetworkOptions(addDenoiserFileOptions(command))).option("--json", "print the result as JSON");
}

/** @throws UsageError for a missing or contradictory choice, and options without effect */
export function checkGenerationFlags(flags: GenerationFlags, command: Command): void {
  const { images, model } = flags;
  if ((images === undefined) === (model === undefined)) {
    throw new UsageError(images === undefined ? "give --images or --model" : "--images and --model exclude each other");
  }
  const [useless, needed] = images === undefined ? [OF_IMAGES, "--images"] : [OF_MODELS, "--model"];
  const given = useless.find((name) => command.getOptionValueSource(name) === "cli");
  const option = command.options.find((candidate) => candidate.attributeName() === given);
  if (option !== undefined) throw new UsageError(`${option.long} has no effect without ${needed}`);
  checkSamplingFlags(flags);
}

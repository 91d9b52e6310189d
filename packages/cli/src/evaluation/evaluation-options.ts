/** The options of evaluations: the networks of metrics, how pictures are prepared and what they are called, and those of generators. */
import { rethrowAs } from "@dcae/core/graph";
import { type FindNetworkOptions, PROTOCOLS, type Protocol, type ProtocolChoice, resolveProtocol } from "@dcae/eval";
import type { GenerationMetric, ProtocolName } from "@dcae/eval/internal";
import { type Command, Option } from "commander";
import { UsageError } from "../errors.js";
import { skipErrorsOption } from "../options/codec-options.js";
import { addEngineOptions, type EngineFlags } from "../options/engine-options.js";
import type { HubFlags } from "../options/model-options.js";
import { parseCount, parseNames, parseNonNegative, parseSize, parseWhole, type Size } from "../options/parse-values.js";
import {
  addDecoderOptions,
  addDenoiserFileOptions,
  addSamplingOptions,
  checkSamplingFlags,
  type SamplingFlags,
} from "../options/sampling-options.js";
import { addResultFolderOptions, type ResultFolderFlags } from "./evaluation-run.js";

export interface NetworkFlags {
  readonly weights?: string;
  readonly unverifiedWeights?: boolean;
}

export function addNetworkOptions(command: Command): Command {
  return command
    .option("--weights <dir>", "folder with the weights of the metrics' networks (see `dcae eval weights`)")
    .option("--unverified-weights", "take weight files of these networks even if they aren't the published ones");
}

export function networkOptions({ weights, unverifiedWeights }: NetworkFlags): FindNetworkOptions {
  return { folder: weights, ...(unverifiedWeights === true ? { verify: "skip" } : {}) };
}

export interface ProtocolFlags {
  readonly size?: Size;
  readonly limit?: number;
  readonly split?: string;
}

export interface ProtocolNameFlag {
  readonly protocol: ProtocolName;
}

/** Adds what every evaluation asks about its pictures. */
export function addProtocolOptions(command: Command): Command {
  return command
    .option("--size <n|WxH>", "scale and cut pictures to this size first, as the reference does", parseSize)
    .option("--limit <n>", "only the first pictures, by name", parseCount)
    .option("--split <text>", 'what the pictures are, as in "ImageNet val": part of the protocol, for comparisons');
}

/** Adds the choice of a protocol, for evaluations of sets. */
export function protocolOption(): Option {
  return new Option("--protocol <name>", "whose evaluation to follow: that of DC-AE's authors, or ADM's")
    .choices(Object.keys(PROTOCOLS))
    .default("dc-ae" satisfies ProtocolName);
}

/** @throws UsageError for a combination that makes no sense */
export function protocolOf(
  { size, split }: ProtocolFlags,
  choice: Omit<ProtocolChoice, "size" | "split"> = {},
): Protocol {
  return rethrowAs(UsageError, "", () =>
    resolveProtocol({
      ...choice,
      ...(size === undefined ? {} : { size, crop: "dm-crop" }),
      ...(split === undefined ? {} : { split }),
    }),
  );
}

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
  readonly searchCfg?: SearchedMetric;
  readonly cfgGrid?: readonly number[];
}

/** What a guidance scale can be searched for: distances to a reference. */
const SEARCHED_METRICS = ["fid", "sfid", "cmmd"] as const;
type SearchedMetric = (typeof SEARCHED_METRICS)[number];

/** @throws InvalidArgumentError, as all parsers of option values */
function parseScales(text: string): number[] {
  return text.split(",").map((part) => parseNonNegative(part.trim()));
}

/** As in the published evaluations. */
const PUBLISHED_COUNT = 50_000;

/** Option values that only a model has use for. */
const OF_MODELS = [
  ...[
    "count",
    "labels",
    "samplingBatch",
    "searchCfg",
    "cfgGrid",
    "cfg",
    "guidanceInterval",
    "guidanceChannels",
    "latentChannels",
    "sampler",
    "steps",
    "seed",
  ],
  ...[
    "autoencoder",
    "scalingFactor",
    "shiftFactor",
    "config",
    "revision",
    "subfolder",
    "offline",
    "cacheDir",
    "dtype",
    "optimize",
  ],
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
    .option("--sampling-batch <n>", "with --model: pictures that are sampled together", parseCount, 8)
    .addOption(
      new Option(
        "--search-cfg <metric>",
        "with --model: search the guidance scale of the smallest distance to the reference, and report that",
      ).choices([...SEARCHED_METRICS]),
    )
    .option(
      "--cfg-grid <list>",
      "with --search-cfg: scales to search among, ascending (default: the published grid)",
      parseScales,
    );
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
  checkSearch(flags, command);
  checkSamplingFlags(flags.searchCfg === undefined ? flags : { ...flags, cfg: 0 });
}

function checkSearch({ searchCfg, cfgGrid, reference, metrics }: GenerationFlags, command: Command): void {
  if (searchCfg === undefined) {
    if (cfgGrid !== undefined) throw new UsageError("--cfg-grid has no effect without --search-cfg");
    return;
  }
  if (command.getOptionValueSource("shard") === "cli") {
    throw new UsageError(
      "--search-cfg and --shard exclude each other: which scale comes next depends on the whole result",
    );
  }
  if (command.getOptionValueSource("cfg") === "cli") throw new UsageError("--cfg and --search-cfg exclude each other");
  if (reference === undefined) throw new UsageError("--search-cfg needs --reference: what the distance is to");
  if (metrics !== undefined && !metrics.includes(searchCfg)) {
    throw new UsageError(`--search-cfg ${searchCfg}: isn't among --metrics`);
  }
}

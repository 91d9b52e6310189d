/**
 * Official constructor arguments of denoisers, to and from our configurations (diffusion.md sections 3 to 5).
 *
 * `arch` is "uvit", "dit" or "sana_cls", or one of the original codes: "uvit_orig" (other keys), "dit_orig" and "sit_orig"
 * (the keys of DiT).
 */
import { ConfigError } from "@dcae/core";
import {
  type DenoiserConfig,
  type DiTConfig,
  EVAL_SCHEDULERS,
  type Recipe,
  type SanaClsConfig,
  TRAIN_SCHEDULERS,
  type TrainScheduler,
  type UVitConfig,
} from "./denoiser-config.js";

export const ARCHITECTURE_NAMES = ["uvit", "dit", "sana_cls", "uvit_orig", "dit_orig", "sit_orig"] as const;
export type ArchitectureName = (typeof ARCHITECTURE_NAMES)[number];

/** An official configuration, taken apart into architecture and recipe. */
export interface ParsedDenoiser {
  readonly config: DenoiserConfig;
  readonly recipe: Recipe;
}

/** Original U-ViT counts the null class; its ImageNet-64 models have 1000 classes and none. */
const ORIGINAL_CLASSES_WITHOUT_NULL = 1000;

/** Original DiT guides three of its four channels. */
const ORIGINAL_DIT_GUIDED = 3;

function base(reader: ConfigReader) {
  return {
    inputSize: reader.integer("input_size", undefined),
    patchSize: reader.integer("patch_size", 2),
    inChannels: reader.integer("in_channels", 4),
    hiddenSize: reader.integer("hidden_size", 1152),
    depth: reader.integer("depth", 28),
    mlpRatio: reader.number("mlp_ratio", 4, 0.01, 100),
    classDropoutProb: reader.number("class_dropout_prob", 0.1, 0, 1),
    numClasses: reader.integer("num_classes", 1000, 0),
    patchKernelSize: reader.optionalInteger("patch_kernel_size"),
    adaptiveChannel: reader.boolean("adaptive_channel", false),
  };
}

function readUVit(reader: ConfigReader): UVitConfig {
  return {
    arch: "uvit",
    ...base(reader),
    numHeads: reader.integer("num_heads", 16),
    mlpTimeEmbed: reader.boolean("mlp_time_embed", false),
    qkvBias: reader.boolean("qkv_bias", false),
    actLayer: reader.choice("act_layer", ["gelu", "silu"], "gelu"),
    originalNames: false,
    outConv: false,
  };
}

function readOriginalUVit(reader: ConfigReader): UVitConfig {
  const rows = reader.integer("num_classes", -1, -1);
  const nullClass = rows > 0 && rows !== ORIGINAL_CLASSES_WITHOUT_NULL;
  return {
    arch: "uvit",
    inputSize: reader.integer("img_size", undefined),
    patchSize: reader.integer("patch_size", 16),
    inChannels: reader.integer("in_chans", 3),
    hiddenSize: reader.integer("embed_dim", 768),
    depth: reader.integer("depth", 12),
    numHeads: reader.integer("num_heads", 12),
    mlpRatio: reader.number("mlp_ratio", 4, 0.01, 100),
    qkvBias: reader.boolean("qkv_bias", false),
    mlpTimeEmbed: reader.boolean("mlp_time_embed", false),
    actLayer: "gelu",
    numClasses: rows <= 0 ? 0 : nullClass ? rows - 1 : rows,
    classDropoutProb: nullClass ? 0.1 : 0,
    patchKernelSize: null,
    adaptiveChannel: false,
    originalNames: true,
    outConv: reader.boolean("conv", true),
  };
}

function readDiT(reader: ConfigReader): DiTConfig {
  const common = base(reader);
  const unconditional = reader.boolean("unconditional", false);
  return {
    arch: "dit",
    ...common,
    numClasses: unconditional ? 0 : common.numClasses,
    numHeads: reader.integer("num_heads", 16),
    postNorm: reader.boolean("post_norm", false),
    learnSigma: reader.boolean("learn_sigma", true),
  };
}

function readSana(reader: ConfigReader, trainScheduler: TrainScheduler): SanaClsConfig {
  return {
    arch: "sana_cls",
    ...base(reader),
    mlpRatio: reader.number("mlp_ratio", 2.5, 0.01, 100),
    attentionHeadDim: reader.integer("attention_head_dim", 32),
    ffnMode: reader.choice("ffn_mode", ["GLUMBConv", "MBConv"], "GLUMBConv"),
    useLinearAttn: reader.boolean("use_linear_attn", false),
    learnSigma: trainScheduler === "GaussianDiffusion",
  };
}

/** The recipe that an architecture is usually trained with. */
const usualScheduler: Readonly<Record<ArchitectureName, TrainScheduler>> = {
  uvit: "DPM_Solver",
  uvit_orig: "DPM_Solver",
  dit: "GaussianDiffusion",
  dit_orig: "GaussianDiffusion",
  sit_orig: "SiTSampler",
  sana_cls: "SanaScheduler",
};

/** The sampler that goes with an objective. */
const usualSampler = {
  DPM_Solver: "DPM_Solver",
  GaussianDiffusion: "GaussianDiffusion",
  SiTSampler: "ODE_dopri5",
  SanaScheduler: "SanaScheduler",
  UniTrainScheduler: "UniSampler",
} as const;

function readRecipe(reader: ConfigReader, arch: ArchitectureName): Recipe {
  const trainScheduler = reader.choice("train_scheduler", TRAIN_SCHEDULERS, usualScheduler[arch]);
  const evalScheduler = reader.choice("eval_scheduler", EVAL_SCHEDULERS, usualSampler[trainScheduler]);
  const interval = [
    reader.number("guidance_t_min", 0.2, 0, 1000),
    reader.number("guidance_t_max", 0.8, 0, 1000),
  ] as const;
  return {
    trainScheduler,
    evalScheduler,
    numInferenceSteps: reader.integer("num_inference_steps", arch.startsWith("uvit") ? 30 : 250),
    cfgChannels: reader.optionalInteger("cfg_channels") ?? (arch === "dit_orig" ? ORIGINAL_DIT_GUIDED : null),
    guidanceInterval: reader.boolean("use_guidance_interval", false) ? interval : null,
  };
}

/**
 * Reads official constructor arguments.
 *
 * @param source for messages
 * @throws ConfigError for unknown keys, wrong types, and sizes that don't divide
 */
export function parseOfficialDenoiser(arch: string, json: unknown, source = "model"): ParsedDenoiser {
  const name = ARCHITECTURE_NAMES.find((known) => known === arch);
  if (name === undefined) {
    throw new ConfigError(`${source}: unknown architecture "${arch}"`, {
      hint: `Known: ${ARCHITECTURE_NAMES.join(", ")}.`,
    });
  }
  const reader = readConfig(json, source);
  const recipe = readRecipe(reader, name);
  const config = readNetwork(reader, name, recipe);
  reader.done();
  checkDenoiserConfig(config, source);
  return { config, recipe };
}

function readNetwork(reader: ConfigReader, name: ArchitectureName, { trainScheduler }: Recipe): DenoiserConfig {
  if (name === "uvit") return readUVit(reader);
  if (name === "uvit_orig") return readOriginalUVit(reader);
  return name === "sana_cls" ? readSana(reader, trainScheduler) : readDiT(reader);
}

/** @throws ConfigError for sizes that don't divide */
function checkDenoiserConfig(config: DenoiserConfig, source = "model"): void {
  const require = (fits: boolean, problem: string) => {
    if (!fits) throw new ConfigError(`${source}: ${problem}`);
  };
  const { inputSize, patchSize, hiddenSize } = config;
  require(inputSize % patchSize === 0, `patch_size ${patchSize} doesn't divide input_size ${inputSize}`);
  const [key, parts] =
    config.arch === "sana_cls"
      ? ["attention_head_dim", config.attentionHeadDim]
      : (["num_heads", config.numHeads] as const);
  require(hiddenSize % parts === 0, `${key} ${parts} doesn't divide hidden_size ${hiddenSize}`);
  require(config.arch !== "dit" || hiddenSize % 4 === 0, `hidden_size ${hiddenSize} isn't a multiple of 4`);
  const kernel = config.patchKernelSize;
  require(kernel === null || kernel % 2 === 1, `patch_kernel_size ${kernel} must be odd`);
}

/** Official constructor arguments of a network; `parseOfficialDenoiser` reads them back. */
export function toOfficialDenoiser({ config, recipe }: ParsedDenoiser): {
  readonly arch: ArchitectureName;
  readonly model: Readonly<Record<string, unknown>>;
} {
  const [low, high] = recipe.guidanceInterval ?? [undefined, undefined];
  const shared = {
    train_scheduler: recipe.trainScheduler,
    eval_scheduler: recipe.evalScheduler,
    num_inference_steps: recipe.numInferenceSteps,
    ...(recipe.cfgChannels === null ? {} : { cfg_channels: recipe.cfgChannels }),
    ...(low === undefined ? {} : { use_guidance_interval: true, guidance_t_min: low, guidance_t_max: high }),
  };
  if (config.arch === "uvit" && config.originalNames) {
    const rows = config.numClasses === 0 ? -1 : config.numClasses + (config.classDropoutProb > 0 ? 1 : 0);
    const model = {
      img_size: config.inputSize,
      patch_size: config.patchSize,
      in_chans: config.inChannels,
      embed_dim: config.hiddenSize,
      depth: config.depth,
      num_heads: config.numHeads,
      mlp_ratio: config.mlpRatio,
      qkv_bias: config.qkvBias,
      mlp_time_embed: config.mlpTimeEmbed,
      num_classes: rows,
      conv: config.outConv,
    };
    return { arch: "uvit_orig", model: { ...model, ...shared } };
  }
  const network = {
    input_size: config.inputSize,
    patch_size: config.patchSize,
    in_channels: config.inChannels,
    hidden_size: config.hiddenSize,
    depth: config.depth,
    mlp_ratio: config.mlpRatio,
    class_dropout_prob: config.classDropoutProb,
    num_classes: config.numClasses,
    patch_kernel_size: config.patchKernelSize,
    adaptive_channel: config.adaptiveChannel,
    ...ownKeys(config),
  };
  return { arch: config.arch, model: { ...network, ...shared } };
}

function ownKeys(config: DenoiserConfig): Readonly<Record<string, unknown>> {
  switch (config.arch) {
    case "uvit":
      return {
        num_heads: config.numHeads,
        mlp_time_embed: config.mlpTimeEmbed,
        qkv_bias: config.qkvBias,
        act_layer: config.actLayer,
      };
    case "dit":
      return {
        num_heads: config.numHeads,
        post_norm: config.postNorm,
        learn_sigma: config.learnSigma,
        unconditional: config.numClasses === 0,
      };
    case "sana_cls":
      return {
        attention_head_dim: config.attentionHeadDim,
        ffn_mode: config.ffnMode,
        use_linear_attn: config.useLinearAttn,
      };
  }
}

// Reads the fields of a configuration that comes from a stranger: every key is known, of its type, and used.

/** One field after the other; `done` refuses what was not asked for. */
interface ConfigReader {
  /** An integer of at least `low`. */
  integer(key: string, fallback: number | undefined, low?: number): number;
  /** A finite number in [low, high]. */
  number(key: string, fallback: number | undefined, low: number, high?: number): number;
  boolean(key: string, fallback: boolean): boolean;
  choice<T extends string>(key: string, options: readonly T[], fallback: T): T;
  /** An integer of at least 1, or null (the default). */
  optionalInteger(key: string): number | null;
  /** Whether the key is there. */
  has(key: string): boolean;
  /** @throws ConfigError that names the first unknown key */
  done(): void;
}

/** @param source for messages, as in "config.json" */
export function readConfig(json: unknown, source: string): ConfigReader {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new ConfigError(`${source}: must be an object, got ${show(json)}`);
  }
  const fields = json as Readonly<Record<string, unknown>>;
  const asked = new Set<string>();
  const take = (key: string): unknown => {
    asked.add(key);
    return Object.hasOwn(fields, key) ? fields[key] : undefined;
  };
  const refuse = (key: string, value: unknown, expected: string): never => {
    throw new ConfigError(`${source}: ${key} is ${show(value)} but must be ${expected}`);
  };
  const numeric = (key: string, fallback: number | undefined, expected: string, fits: (value: number) => boolean) => {
    const value = take(key) ?? fallback;
    if (typeof value !== "number" || !fits(value)) return refuse(key, value, expected);
    return value;
  };
  return {
    integer: (key, fallback, low = 1) =>
      numeric(key, fallback, `an integer of at least ${low}`, (value) => Number.isSafeInteger(value) && value >= low),
    number: (key, fallback, low, high = Number.MAX_VALUE) =>
      numeric(key, fallback, `a number from ${low} to ${high}`, (value) => value >= low && value <= high),
    boolean(key, fallback) {
      const value = take(key) ?? fallback;
      return typeof value === "boolean" ? value : refuse(key, value, "true or false");
    },
    choice(key, options, fallback) {
      const value = take(key) ?? fallback;
      return options.find((option) => option === value) ?? refuse(key, value, `one of ${options.join(", ")}`);
    },
    optionalInteger(key) {
      const value = take(key) ?? null;
      if (value === null) return null;
      return Number.isSafeInteger(value) && (value as number) >= 1
        ? (value as number)
        : refuse(key, value, "a positive integer or null");
    },
    has: (key) => fields[key] !== undefined && fields[key] !== null,
    done() {
      const unknown = Object.keys(fields).find((key) => !asked.has(key));
      if (unknown !== undefined) {
        throw new ConfigError(`${source}: ${show(unknown)} isn't a known option`, {
          hint: `Known options: ${[...asked].join(", ")}.`,
        });
      }
    },
  };
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

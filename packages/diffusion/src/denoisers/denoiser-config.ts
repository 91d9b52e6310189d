/**
 * Denoisers as data: what the networks UViT, DiT and SANA-cls are made of (diffusion.md sections 3 to 6), and how each was trained
 * and is sampled, its `Recipe` (sections 3, 8 and 9).
 *
 * Names are the official constructor keys in camel case.
 */
import { ConfigError } from "@dcae/core/graph";

interface DenoiserBase {
  /** Latent side S; latents are [B, C, S, S]. */
  readonly inputSize: number;
  /** Latent positions per token along each axis. */
  readonly patchSize: number;
  /** Latent channels C. */
  readonly inChannels: number;
  /** Width of the tokens. */
  readonly hiddenSize: number;
  /** Blocks. UViT has one more in the middle. */
  readonly depth: number;
  /** Hidden width of the MLPs over `hiddenSize`. */
  readonly mlpRatio: number;
  /** Classes without the null class; 0: the model takes no labels. */
  readonly numClasses: number;
  /** Share of labels replaced by the null class in training; 0: there is no null class, and no guidance. */
  readonly classDropoutProb: number;
  /** Kernel of the patch embedding where it is larger than the patch. */
  readonly patchKernelSize: number | null;
  /** DC-AE 1.5: latents may have only the first channels. */
  readonly adaptiveChannel: boolean;
}

export interface UVitConfig extends DenoiserBase {
  readonly arch: "uvit";
  readonly numHeads: number;
  /** A learned MLP on the time embedding. */
  readonly mlpTimeEmbed: boolean;
  readonly qkvBias: boolean;
  readonly actLayer: "gelu" | "silu";
  /** Parameter names of the original U-ViT code: `label_emb.weight` instead of `label_emb.embedding_table.weight`. */
  readonly originalNames: boolean;
  /** The original code's 3x3 convolution on the output. */
  readonly outConv: boolean;
}

export interface DiTConfig extends DenoiserBase {
  readonly arch: "dit";
  readonly numHeads: number;
  readonly postNorm: boolean;
  /** The output has twice the channels: noise, then the interpolation of the log variance. */
  readonly learnSigma: boolean;
}

export interface SanaClsConfig extends DenoiserBase {
  readonly arch: "sana_cls";
  readonly attentionHeadDim: number;
  readonly ffnMode: "GLUMBConv" | "MBConv";
  /** ReLU linear attention instead of softmax. */
  readonly useLinearAttn: boolean;
  readonly learnSigma: boolean;
}

/** The architecture of a denoiser: UViT (and USiT), DiT (and SiT), or SANA-cls. */
export type DenoiserConfig = UVitConfig | DiTConfig | SanaClsConfig;

/** Rows of the label table: the classes, and the null class where there is one. */
export function labelRows({ numClasses, classDropoutProb }: DenoiserConfig): number {
  return numClasses === 0 ? 0 : numClasses + (classDropoutProb > 0 ? 1 : 0);
}

/** Label of the null class, which is the last one; undefined where there is none. */
export function nullLabel(config: DenoiserConfig): number | undefined {
  return labelRows(config) > config.numClasses ? config.numClasses : undefined;
}

/** What the null class is called where classes are named: no number of a class can mean it by mistake. */
export const NULL_CLASS = "null";

/**
 * The label that a name or a number of a class means: names of classes first, since folders may be called by numbers (and "null")
 * too; then numbers, and "null" for the null class.
 *
 * @param classes names of the classes, where they have any
 * @returns undefined for what is neither
 */
export function findLabel(
  config: DenoiserConfig,
  classes: readonly string[] | null,
  label: number | string,
): number | undefined {
  const named = typeof label === "string" ? (classes?.indexOf(label) ?? -1) : -1;
  if (named >= 0) return named;
  if (label === NULL_CLASS) return nullLabel(config);
  const number = typeof label === "number" ? label : /^\d{1,9}$/.test(label) ? Number(label) : -1;
  // A model without classes takes any label to be its only one.
  const last = Math.max(config.numClasses - 1, 0);
  return Number.isInteger(number) && number >= 0 && number <= last ? number : undefined;
}

/** Classes that a message names. */
const LISTED = 20;

/** Which labels there are, as a sentence for messages. */
export function labelsInWords(config: DenoiserConfig, classes: readonly string[] | null): string {
  const listed =
    classes === null ? "" : `: ${classes.slice(0, LISTED).join(", ")}${classes.length > LISTED ? "..." : ""}`;
  const none = nullLabel(config) === undefined ? "" : `; "${NULL_CLASS}" means no class`;
  return `Classes are 0 to ${config.numClasses - 1}${listed}${none}.`;
}

export interface ChosenLabel {
  readonly label: number;
  /** As the training set calls it, or the number. */
  readonly name: string;
}

/**
 * What texts mean: names of the model's classes, numbers, or "null" for the null class.
 *
 * @param option what names them, for messages
 * @throws ConfigError for what is neither, and for models without classes
 */
export function chooseLabels(
  { config, classes }: { readonly config: DenoiserConfig; readonly classes: readonly string[] | null },
  texts: readonly string[],
  option: string,
): ChosenLabel[] {
  if (config.numClasses === 0) throw new ConfigError(`${option}: this model has no classes`);
  return texts.map((text) => {
    const label = findLabel(config, classes, text);
    if (label !== undefined) return { label, name: classes?.[label] ?? text };
    throw new ConfigError(`${option}: "${text}" isn't a class`, { hint: labelsInWords(config, classes) });
  });
}

/** Patch tokens of a latent. */
export function tokenCount({ inputSize, patchSize }: DenoiserConfig): number {
  return (inputSize / patchSize) ** 2;
}

/** Channels of the output for latents of `channels` channels (default: the model's own). */
export function outChannels(config: DenoiserConfig, channels = config.inChannels): number {
  return config.arch !== "uvit" && config.learnSigma ? 2 * channels : channels;
}

// How a denoiser was trained and is sampled, as its official configuration says it (diffusion.md sections 3, 8 and 9).

/** Training objectives by their official names. */
export const TRAIN_SCHEDULERS = [
  "DPM_Solver",
  "GaussianDiffusion",
  "SiTSampler",
  "SanaScheduler",
  "UniTrainScheduler",
] as const;
export type TrainScheduler = (typeof TRAIN_SCHEDULERS)[number];

/** Samplers by their official names. */
export const EVAL_SCHEDULERS = [
  "DPM_Solver",
  "GaussianDiffusion",
  "ODE_dopri5",
  "ODE_euler",
  "ODE_heun2",
  "ODE_midpoint",
  "ODE_rk4",
  "SDE",
  "UniPC",
  "DPMSolverSinglestep",
  "SanaScheduler",
  "UniSampler",
] as const;
export type EvalScheduler = (typeof EVAL_SCHEDULERS)[number];

/** How a denoiser is trained and sampled: objective, sampler, steps, guidance. */
export interface Recipe {
  readonly trainScheduler: TrainScheduler;
  readonly evalScheduler: EvalScheduler;
  /** Model evaluations or output points, as the sampler counts. Gaussian diffusion always takes 250. */
  readonly numInferenceSteps: number;
  /** How many of the first output channels are guided; null: all latent channels. */
  readonly cfgChannels: number | null;
  /** Model times in which guidance acts; null: always. */
  readonly guidanceInterval: readonly [low: number, high: number] | null;
}

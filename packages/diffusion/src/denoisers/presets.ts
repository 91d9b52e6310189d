/**
 * The published sizes of denoisers, and the latents they were combined with, as data (diffusion.md sections 1, 3, 4, 7).
 */
import { ConfigError } from "@dcae/core";
import type { DenoiserConfig } from "./denoiser-config.js";
import { type ParsedDenoiser, parseOfficialDenoiser } from "./official-config.js";

/** What a denoiser sees: latents of one autoencoder at one picture size, and the patch size used on them. */
export interface LatentFormat {
  readonly channels: number;
  /** Latent side. */
  readonly side: number;
  readonly patchSize: number;
  /** Side of the pictures in pixels. */
  readonly resolution: number;
}

/** The latents that published denoisers take, by autoencoder and picture side. */
export const LATENTS = {
  "dc-ae-f32c32-512": { channels: 32, side: 16, patchSize: 1, resolution: 512 },
  "dc-ae-f64c128-512": { channels: 128, side: 8, patchSize: 1, resolution: 512 },
  "dc-ae-f128c512-512": { channels: 512, side: 4, patchSize: 1, resolution: 512 },
  "sd-vae-f8-512": { channels: 4, side: 64, patchSize: 2, resolution: 512 },
  "sd-vae-f8-256": { channels: 4, side: 32, patchSize: 2, resolution: 256 },
  "flux-vae-f8-512": { channels: 16, side: 64, patchSize: 2, resolution: 512 },
} as const satisfies Readonly<Record<string, LatentFormat>>;
/** Names in `LATENTS`. */
export type LatentName = keyof typeof LATENTS;

interface Size {
  readonly arch: "uvit" | "dit" | "sana_cls";
  /** Official constructor keys. */
  readonly model: Readonly<Record<string, unknown>>;
}

const NOISE = { train_scheduler: "DPM_Solver", eval_scheduler: "DPM_Solver", num_inference_steps: 30 } as const;
const FLOW = { train_scheduler: "SiTSampler", eval_scheduler: "ODE_dopri5", num_inference_steps: 250 } as const;
const GAUSSIAN = {
  train_scheduler: "GaussianDiffusion",
  eval_scheduler: "GaussianDiffusion",
  num_inference_steps: 250,
} as const;

const uvitSize = (depth: number, width: number, heads: number, recipe: object = NOISE): Size => ({
  arch: "uvit",
  model: { depth, hidden_size: width, num_heads: heads, ...recipe },
});
const ditSize = (depth: number, width: number, heads: number, recipe: object = GAUSSIAN): Size => ({
  arch: "dit",
  model: { depth, hidden_size: width, num_heads: heads, learn_sigma: recipe === GAUSSIAN, ...recipe },
});

/** Every published size. "deep", M, L and 5B have no published DC-AE checkpoint. */
export const SIZES = {
  "uvit-s": uvitSize(12, 512, 8),
  "uvit-s-deep": uvitSize(16, 512, 8),
  "uvit-m": uvitSize(16, 768, 12),
  "uvit-l": uvitSize(20, 1024, 16),
  "uvit-h": uvitSize(28, 1152, 16),
  "uvit-2b": uvitSize(28, 2048, 32),
  "usit-h": uvitSize(28, 1152, 16, FLOW),
  "usit-2b": uvitSize(28, 2048, 32, FLOW),
  "usit-3b": uvitSize(56, 2048, 32, FLOW),
  "usit-5b": uvitSize(84, 2048, 32, FLOW),
  "dit-s": ditSize(12, 384, 6),
  "dit-b": ditSize(12, 768, 12),
  "dit-l": ditSize(24, 1024, 16),
  "dit-xl": ditSize(28, 1152, 16),
  "sit-xl": ditSize(28, 1152, 16, FLOW),
  "sana-cls-xl": { arch: "sana_cls", model: { depth: 28, hidden_size: 1152, attention_head_dim: 32, ...FLOW } },
} as const satisfies Readonly<Record<string, Size>>;
/** Names in `SIZES`. */
export type SizeName = keyof typeof SIZES;

/**
 * A published size on given latents, with 1000 classes.
 *
 * @param overrides official keys that differ (`num_classes`, `patch_size`, ...)
 * @throws ConfigError for unknown names
 * @example
 * ```ts
 * import { denoiserPreset } from "@dcae/diffusion";
 *
 * const { config, recipe } = denoiserPreset("uvit-h", "dc-ae-f64c128-512");
 * console.log(config.inputSize, recipe.evalScheduler);
 * ```
 */
export function denoiserPreset(
  size: SizeName,
  latent: LatentName | LatentFormat,
  overrides: Readonly<Record<string, unknown>> = {},
): ParsedDenoiser {
  const { arch, model } = lookUp(SIZES as Readonly<Record<string, Size>>, size, "size");
  const format = typeof latent === "string" ? lookUp<LatentFormat>(LATENTS, latent, "latent") : latent;
  const { channels, side, patchSize } = format;
  const keys = { ...model, in_channels: channels, input_size: side, patch_size: patchSize, ...overrides };
  return parseOfficialDenoiser(arch, keys, `preset ${size}`);
}

function lookUp<T>(table: Readonly<Record<string, T>>, name: string, what: string): T {
  const found = Object.hasOwn(table, name) ? table[name] : undefined;
  if (found !== undefined) return found;
  throw new ConfigError(`unknown ${what} "${name}"`, { hint: `Known: ${Object.keys(table).join(", ")}.` });
}

/** Shape of a batch of latents that a denoiser takes. */
export function latentShape({ inChannels, inputSize }: DenoiserConfig, batch: number): number[] {
  return [batch, inChannels, inputSize, inputSize];
}

// The published checkpoints (diffusion.md section 14): which network, which autoencoder, how it was trained.
//
// Their config.json says `{"model_name": "<name>"}` only; everything else follows from the name.

export interface PublishedDenoiser extends ParsedDenoiser {
  readonly name: string;
  /** Repository on the Hugging Face hub. */
  readonly hubId: string;
  /** Preset of the autoencoder, whose weights lie in the same file. */
  readonly autoencoder: string;
  /** Latents are multiplied by it before the denoiser sees them. */
  readonly scalingFactor: number;
}

const autoencoders = {
  "dc-ae-f32c32-in-1.0": { latent: "dc-ae-f32c32-512", scalingFactor: 0.3189, adaptive: false },
  "dc-ae-f64c128-in-1.0": { latent: "dc-ae-f64c128-512", scalingFactor: 0.2889, adaptive: false },
  "dc-ae-f64c128-1.5": { latent: "dc-ae-f64c128-512", scalingFactor: 0.5935, adaptive: true },
} as const satisfies Readonly<
  Record<string, { readonly latent: LatentName; readonly scalingFactor: number; readonly adaptive: boolean }>
>;

function published(autoencoder: keyof typeof autoencoders, size: SizeName, suffix = ""): PublishedDenoiser {
  const { latent, scalingFactor, adaptive } = autoencoders[autoencoder];
  const name = `${autoencoder}-${size}-in-512px${suffix}`;
  const preset = denoiserPreset(size, latent, adaptive ? { adaptive_channel: true } : {});
  return { name, hubId: `mit-han-lab/${name}`, autoencoder, scalingFactor, ...preset };
}

/** The published denoisers, as autoencoder, size and repository. */
export const PUBLISHED_DENOISERS: readonly PublishedDenoiser[] = [
  published("dc-ae-f32c32-in-1.0", "dit-xl"),
  published("dc-ae-f32c32-in-1.0", "dit-xl", "-trainbs1024"),
  published("dc-ae-f32c32-in-1.0", "uvit-s"),
  published("dc-ae-f32c32-in-1.0", "uvit-h"),
  published("dc-ae-f32c32-in-1.0", "uvit-2b"),
  published("dc-ae-f32c32-in-1.0", "usit-h"),
  published("dc-ae-f32c32-in-1.0", "usit-2b"),
  published("dc-ae-f64c128-in-1.0", "uvit-h"),
  published("dc-ae-f64c128-in-1.0", "uvit-h", "-train2000k"),
  published("dc-ae-f64c128-in-1.0", "uvit-2b"),
  published("dc-ae-f64c128-in-1.0", "uvit-2b", "-train2000k"),
  published("dc-ae-f32c32-in-1.0", "sit-xl"),
  published("dc-ae-f64c128-1.5", "usit-2b"),
  published("dc-ae-f64c128-1.5", "usit-3b"),
];

/** The published model of that name or hub repository (`mit-han-lab/...`), or undefined. */
export function findPublishedDenoiser(name: string): PublishedDenoiser | undefined {
  const plain = name.toLowerCase();
  return PUBLISHED_DENOISERS.find((model) => model.name === plain || model.hubId === plain);
}

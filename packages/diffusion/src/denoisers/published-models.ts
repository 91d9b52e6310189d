/**
 * The published checkpoints (diffusion.md section 14): which network, which autoencoder, how it was trained.
 *
 * Their config.json says `{"model_name": "<name>"}` only; everything else follows from the name.
 */
import type { ParsedDenoiser } from "./official-config.js";
import { denoiserPreset, type LatentName, type SizeName } from "./presets.js";

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

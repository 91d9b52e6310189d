/**
 * The published models, as data (dcae.md sections 4 and 10). `getPreset` (find-preset.ts) looks them up by any of their names.
 */
import { ARCHITECTURES, type Architecture, type ArchitectureId, type Gmacs } from "./dc-ae/architectures.js";
import type { DcAeConfig } from "./dc-ae/dc-ae-config.js";
import type { SdVaeConfig } from "./sd-vae/sd-vae-config.js";

/** What is the same for every kind of model. */
interface PresetBase {
  readonly name: string;
  /** Other names that mean the same model, without owner. */
  readonly aliases: readonly string[];
  /** Repository with the weights on the Hugging Face hub; null where none is known. */
  readonly hubId: string | null;
  /**
   * Diffusion models see `latent * scalingFactor`, and `z / scalingFactor` is decoded; encode and decode themselves never apply
   * it. It is 1 / RMS of the latents over the model's training set: one scalar, with no shift and no statistics per channel.
   * Null where none is published (measure it before training a diffusion model).
   */
  readonly scalingFactor: number | null;
  /** Learnable values. */
  readonly parameters: { readonly encoder: number; readonly decoder: number; readonly total: number };
  /** 10^9 multiply-accumulates per picture, by side in pixels. */
  readonly gmacs: Readonly<Record<256 | 512 | 1024, Gmacs>>;
  /** Results that the authors published for the model. */
  readonly published?: PublishedEvaluation;
}

export interface PublishedEvaluation {
  readonly dataset: string;
  readonly resolution: number;
  readonly psnr: number;
  readonly rFid: number;
  readonly ssim?: number;
  readonly lpips?: number;
  readonly clipIqa?: number;
  readonly latent?: { readonly mean: number; readonly rms: number; readonly std: number };
}

export interface DcAePreset extends PresetBase {
  readonly kind: "dc-ae";
  /** Training recipe: ImageNet, mixed data, SANA, SANA with a light decoder, 1.1, or 1.5 (adaptive latent channels). */
  readonly family: "in" | "mix" | "sana" | "lite" | "1.1" | "1.5";
  readonly architecture: ArchitectureId;
  readonly config: DcAeConfig;
}

export interface SdVaePreset extends PresetBase {
  readonly kind: "sd-vae";
  readonly family: "sd-vae";
  readonly config: SdVaeConfig;
}

export type Preset = DcAePreset | SdVaePreset;

interface DcAeRow {
  readonly name: string;
  readonly family: DcAePreset["family"];
  readonly architecture: ArchitectureId;
  readonly scalingFactor: number | null;
  /** Default: the family's owner with the preset's name. */
  readonly hubId?: null;
  readonly aliases?: readonly string[];
  readonly published?: PublishedEvaluation;
}

const dcAeRows: readonly DcAeRow[] = [
  { name: "dc-ae-f32c32-in-1.0", family: "in", architecture: "f32c32-in", scalingFactor: 0.3189 },
  { name: "dc-ae-f32c32-mix-1.0", family: "mix", architecture: "f32c32-in", scalingFactor: 0.4552 },
  // Known from the newest official code's registry only.
  { name: "dc-ae-f32c32-in-1.0-256px", family: "in", architecture: "f32c32-in", scalingFactor: null, hubId: null },
  {
    name: "dc-ae-f64c128-in-1.0",
    family: "in",
    architecture: "f64c128-in",
    scalingFactor: 0.2889,
    published: {
      dataset: "ImageNet val",
      resolution: 512,
      psnr: 26.149,
      rFid: 0.2168,
      ssim: 0.7105,
      lpips: 0.0802,
      clipIqa: 0.7562,
      latent: { mean: -0.0523, rms: 3.4593, std: 3.4589 },
    },
  },
  { name: "dc-ae-f64c128-mix-1.0", family: "mix", architecture: "f64c128-in", scalingFactor: 0.4538 },
  { name: "dc-ae-f128c512-in-1.0", family: "in", architecture: "f128c512-in", scalingFactor: 0.4883 },
  { name: "dc-ae-f128c512-mix-1.0", family: "mix", architecture: "f128c512-in", scalingFactor: 0.362 },
  {
    name: "dc-ae-f32c32-sana-1.0",
    family: "sana",
    architecture: "f32c32-sana",
    scalingFactor: 0.41407,
    published: { dataset: "MJHQ", resolution: 1024, psnr: 29.31, rFid: 0.339 },
  },
  {
    // The encoder of 1.0 with a better decoder.
    name: "dc-ae-f32c32-sana-1.1",
    family: "sana",
    architecture: "f32c32-sana",
    scalingFactor: 0.41407,
    published: { dataset: "MJHQ", resolution: 1024, psnr: 29.74, rFid: 0.314 },
  },
  {
    name: "dc-ae-lite-f32c32-sana-1.1",
    family: "lite",
    architecture: "f32c32-lite",
    scalingFactor: 0.41407,
    aliases: ["dc-ae-lite-f32c32", "dc-ae-lite"],
  },
  { name: "dc-ae-f32c128-1.1", family: "1.1", architecture: "f32c128-1.1", scalingFactor: null },
  { name: "dc-ae-f32c128-1.5", family: "1.5", architecture: "f32c128-1.5", scalingFactor: null },
  // The factor is that of the published diffusion configurations.
  { name: "dc-ae-f64c128-1.5", family: "1.5", architecture: "f64c128-1.5", scalingFactor: 0.5935 },
];

const owners: Readonly<Record<DcAePreset["family"], string>> = {
  in: "mit-han-lab",
  mix: "mit-han-lab",
  sana: "mit-han-lab",
  lite: "mit-han-lab",
  "1.1": "dc-ai",
  "1.5": "dc-ai",
};

function dcAePreset({ aliases = [], hubId, ...row }: DcAeRow): DcAePreset {
  const { config, parameters, gmacs }: Architecture = ARCHITECTURES[row.architecture];
  const defaultHubId = `${owners[row.family]}/${row.name}`;
  return { kind: "dc-ae", ...row, aliases, hubId: hubId === null ? null : defaultHubId, config, parameters, gmacs };
}

const sdVaeConfig: SdVaeConfig = {
  inChannels: 3,
  outChannels: 3,
  latentChannels: 4,
  blockOutChannels: [128, 256, 512, 512],
  layersPerBlock: 2,
  normNumGroups: 32,
  act: "silu",
  useQuantConv: true,
  usePostQuantConv: true,
  midBlockAddAttention: true,
  sampleSize: 256,
};

function sdVaePreset(name: string): SdVaePreset {
  return {
    kind: "sd-vae",
    family: "sd-vae",
    name,
    aliases: [],
    hubId: `stabilityai/${name}`,
    // 1 / standard deviation of the latents of the first stage's training data, as fixed by latent diffusion.
    scalingFactor: 0.18215,
    config: sdVaeConfig,
    // encoder and decoder without the two 1x1 convolutions around the latent (72 and 20 values), which the total counts.
    parameters: { encoder: 34_163_592, decoder: 49_490_179, total: 83_653_863 },
    gmacs: {
      256: { encode: 136.4, decode: 311.1 },
      512: { encode: 558.3, decode: 1257.3 },
      1024: { encode: 2439.5, decode: 5235.2 },
    },
  };
}

export const PRESETS: readonly Preset[] = [
  ...dcAeRows.map(dcAePreset),
  sdVaePreset("sd-vae-ft-ema"),
  sdVaePreset("sd-vae-ft-mse"),
];

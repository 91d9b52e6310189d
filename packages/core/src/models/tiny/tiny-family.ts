/** Tiny autoencoders (TAESD and its relatives, diffusers' AutoencoderTiny) as a row of the families, with the published ones. */
import type { Tensor } from "../../graph/tensor.js";
import { type AutoencoderFamily, blendedTiles, type PresetBase } from "../family.js";
import { POINT } from "../latent.js";
import { tinyDecode, tinyEncode } from "./tiny.js";
import {
  parseTinyConfig,
  readTinyConfig,
  type TinyConfig,
  type TinyLevel,
  tinyCompression,
  toTinyConfig,
} from "./tiny-config.js";
import { inferTinyConfig, TINY_WEIGHT_NAMES, tinyWithoutMissing } from "./tiny-names.js";

export interface TinyPreset extends PresetBase {
  readonly kind: "tiny";
  readonly family: "taesd";
  readonly config: TinyConfig;
}

const levels = (blocks: readonly number[], pooled?: number): TinyLevel[] =>
  blocks.map((count, i) => ({ channels: 64, blocks: count, pool: i === pooled }));

const RGB = { inChannels: 3, outChannels: 3, act: "relu", latentMagnitude: 3, latentShift: 0.5 } as const;

const f8 = (latentChannels: number): TinyConfig => ({
  ...RGB,
  latentChannels,
  encoder: { stem: [], levels: levels([1, 3, 3, 3]) },
  decoder: { levels: levels([3, 3, 3, 1]) },
});
const FOUR_CHANNELS = f8(4);
const SIXTEEN_CHANNELS = f8(16);

/** Pools in the deepest level of both halves. */
const TAEF2: TinyConfig = {
  ...RGB,
  latentChannels: 32,
  encoder: { stem: [], levels: levels([1, 3, 3, 3], 3) },
  decoder: { levels: levels([3, 3, 3, 1], 0) },
};

const TAESANA: TinyConfig = {
  ...RGB,
  latentChannels: 32,
  encoder: { stem: [32, 64], levels: levels([1, 3, 3, 3]) },
  decoder: {
    levels: [256, 128, 64, 64, 64, 64].map((channels, i) => ({ channels, blocks: i === 5 ? 1 : 3, pool: false })),
  },
};

type Figures = Pick<PresetBase, "parameters" | "gmacs">;
const FOUR: Figures = {
  parameters: { encoder: 1_222_532, decoder: 1_222_531, total: 2_445_063 },
  gmacs: {
    256: { encode: 15.3, decode: 17.7 },
    512: { encode: 61.2, decode: 70.7 },
    1024: { encode: 244.6, decode: 282.7 },
  },
};
const SIXTEEN: Figures = {
  parameters: { encoder: 1_229_456, decoder: 1_229_443, total: 2_458_899 },
  gmacs: {
    256: { encode: 15.3, decode: 17.7 },
    512: { encode: 61.2, decode: 70.7 },
    1024: { encode: 244.8, decode: 282.8 },
  },
};
const TAEF2_FIGURES: Figures = {
  parameters: { encoder: 1_338_528, decoder: 1_338_499, total: 2_677_027 },
  gmacs: {
    256: { encode: 15.4, decode: 17.8 },
    512: { encode: 61.6, decode: 71.1 },
    1024: { encode: 246.5, decode: 284.6 },
  },
};
const TAESANA_FIGURES: Figures = {
  parameters: { encoder: 1_256_288, decoder: 8_301_763, total: 9_558_051 },
  gmacs: {
    256: { encode: 1.0, decode: 18.5 },
    512: { encode: 4.2, decode: 74.0 },
    1024: { encode: 16.6, decode: 296.0 },
  },
};

const preset = (name: string, config: TinyConfig, hubId: string | null, figures: Figures): TinyPreset => ({
  kind: "tiny",
  family: "taesd",
  name,
  aliases: [],
  hubId,
  // Latents are in the scale of diffusion models already.
  scalingFactor: 1,
  config,
  ...figures,
});

/** The published models, each in the latent space of the autoencoder named behind it. */
const PRESETS: readonly TinyPreset[] = [
  preset("taesd", FOUR_CHANNELS, "madebyollin/taesd", FOUR),
  preset("taesdxl", FOUR_CHANNELS, "madebyollin/taesdxl", FOUR),
  preset("taesd3", SIXTEEN_CHANNELS, "madebyollin/taesd3", SIXTEEN),
  preset("taef1", SIXTEEN_CHANNELS, "madebyollin/taef1", SIXTEEN),
  preset("taef2", TAEF2, null, TAEF2_FIGURES),
  preset("taesana", TAESANA, null, TAESANA_FIGURES),
];

export const TINY = {
  label: "TAESD",
  className: "AutoencoderTiny",
  latent: POINT,
  compression: tinyCompression,
  encode: tinyEncode,
  decode: tinyDecode,
  hasPart: (config: TinyConfig, part: "encoder" | "decoder") => config[part] !== null,
  withoutMissingPart: tinyWithoutMissing,
  isAdaptive: () => ({ encoder: false, decoder: false }),
  blendedTiles: (config) => blendedTiles({ tile: [512, 512], stride: [448, 448] }, tinyCompression(config)),
  readConfig: parseTinyConfig,
  writeConfig: toTinyConfig,
  officialConfig: { read: readTinyConfig, write: (config: TinyConfig) => ({ ...config }) },
  inferConfig: inferTinyConfig,
  weightNames: TINY_WEIGHT_NAMES,
  // The first can hold every model; diffusers' class has no pools, no stem and no halves.
  layouts: {
    official: { weights: "taesd", hubSuffix: "" },
    diffusers: { weights: "tiny-diffusers", hubSuffix: "" },
  },
  presets: PRESETS,
} satisfies AutoencoderFamily<TinyConfig, Tensor>;

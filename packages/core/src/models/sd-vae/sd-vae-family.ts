/** SD-VAE, diffusers' AutoencoderKL, as a row of the families. Its encoder gives a diagonal Gaussian, not a point. */
import type { AutoencoderFamily, BlendedTiles, NameRule, PresetBase, WeightNames, WeightPiece } from "../family.js";
import { type DiagonalGaussian, GAUSSIAN } from "../latent.js";
import { parseLdmConfig, toLdmConfig } from "./ldm-config.js";
import { sdVaeDecode, sdVaeEncode } from "./sd-vae.js";
import { parseKlConfig, type SdVaeConfig, sdVaeSpatialCompression, toKlConfig } from "./sd-vae-config.js";

/** A published SD-VAE or relative. */
export interface SdVaePreset extends PresetBase {
  readonly kind: "sd-vae";
  readonly family: "sd-vae";
  readonly config: SdVaeConfig;
}

const f8: SdVaeConfig = {
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
  encoderAttentionLevels: [],
  decoderAttentionLevels: [],
  sampleSize: 256,
};

/** SD3's and FLUX.1's: 16 channels, and no convolutions around the latent. */
const f8c16: SdVaeConfig = {
  ...f8,
  latentChannels: 16,
  useQuantConv: false,
  usePostQuantConv: false,
  sampleSize: 1024,
};

/** Attention at sides 16 and 8 of a picture of 256 pixels: level 4, and level 5 where there is one. */
const f16: SdVaeConfig = {
  ...f8,
  latentChannels: 16,
  blockOutChannels: [128, 128, 256, 256, 512],
  encoderAttentionLevels: [4],
  decoderAttentionLevels: [4],
};

type Facts = Pick<SdVaePreset, "config" | "parameters" | "gmacs">;

// Parameters of encoder and decoder are without the two 1x1 convolutions around the latent, which the total counts.

const F8: Facts = {
  config: f8,
  parameters: { encoder: 34_163_592, decoder: 49_490_179, total: 83_653_863 },
  gmacs: {
    256: { encode: 136.4, decode: 311.1 },
    512: { encode: 558.3, decode: 1257.3 },
    1024: { encode: 2439.5, decode: 5235.2 },
  },
};

const F8C16: Facts = {
  config: f8c16,
  parameters: { encoder: 34_274_208, decoder: 49_545_475, total: 83_819_683 },
  gmacs: {
    256: { encode: 136.5, decode: 311.2 },
    512: { encode: 558.8, decode: 1257.5 },
    1024: { encode: 2441.3, decode: 5236.1 },
  },
};

const SD_VAE_F16: Facts = {
  config: f16,
  parameters: { encoder: 28_265_760, decoder: 41_343_875, total: 69_610_963 },
  gmacs: {
    256: { encode: 68.9, decode: 126.1 },
    512: { encode: 278.2, decode: 507.5 },
    1024: { encode: 1151.3, decode: 2081.6 },
  },
};

const SD_VAE_F32: Facts = {
  config: {
    ...f16,
    latentChannels: 64,
    blockOutChannels: [128, 128, 256, 256, 512, 512],
    encoderAttentionLevels: [4, 5],
    decoderAttentionLevels: [4, 5],
  },
  parameters: { encoder: 42_614_656, decoder: 61_244_803, total: 103_880_131 },
  gmacs: {
    256: { encode: 67.8, decode: 125.7 },
    512: { encode: 272.8, decode: 505.5 },
    1024: { encode: 1119.3, decode: 2063.9 },
  },
};

/** MAR's: attention in the encoder's deepest level alone. */
const MAR_VAE_F16: Facts = {
  config: { ...f16, decoderAttentionLevels: [] },
  parameters: { encoder: 28_265_760, decoder: 38_188_931, total: 66_456_019 },
  gmacs: {
    256: { encode: 68.9, decode: 125.1 },
    512: { encode: 278.2, decode: 501.1 },
    1024: { encode: 1151.3, decode: 2017.2 },
  },
};

const VAVAE_F16: Facts = {
  config: { ...f16, latentChannels: 32 },
  parameters: { encoder: 28_413_248, decoder: 41_417_603, total: 69_836_067 },
  gmacs: {
    256: { encode: 69.0, decode: 126.1 },
    512: { encode: 278.3, decode: 507.6 },
    1024: { encode: 1151.9, decode: 2081.9 },
  },
};

function preset(
  name: string,
  facts: Facts,
  more: Pick<SdVaePreset, "hubId" | "scalingFactor"> & Partial<Pick<SdVaePreset, "aliases" | "shiftFactor">>,
): SdVaePreset {
  return { kind: "sd-vae", family: "sd-vae", name, aliases: [], ...facts, ...more };
}

/** 1 / standard deviation of the latents of the first stage's training data, as fixed by latent diffusion. */
const LATENT_DIFFUSION_FACTOR = 0.18215;

const SD_VAE_PRESETS: readonly SdVaePreset[] = [
  preset("sd-vae-ft-ema", F8, { hubId: "stabilityai/sd-vae-ft-ema", scalingFactor: LATENT_DIFFUSION_FACTOR }),
  preset("sd-vae-ft-mse", F8, { hubId: "stabilityai/sd-vae-ft-mse", scalingFactor: LATENT_DIFFUSION_FACTOR }),
  // Factors and shifts below are those of the published config.json of each model.
  preset(
    "sdxl-vae",
    { ...F8, config: { ...f8, sampleSize: 1024 } },
    { hubId: "stabilityai/sdxl-vae", scalingFactor: 0.13025 },
  ),
  // Published as a folder of a larger repository: none of its own.
  preset("sd3-vae", F8C16, { aliases: ["sd3.5-vae"], hubId: null, scalingFactor: 1.5305, shiftFactor: 0.0609 }),
  preset("flux.1-vae", F8C16, { aliases: ["flux-vae"], hubId: null, scalingFactor: 0.3611, shiftFactor: 0.1159 }),
  // Baselines of the DC-AE authors' code, under their names there. No factor was published for the first two.
  preset("sd-vae-f16", SD_VAE_F16, { hubId: null, scalingFactor: null }),
  preset("sd-vae-f32", SD_VAE_F32, { hubId: null, scalingFactor: null }),
  preset("mar-vae-f16", MAR_VAE_F16, { hubId: null, scalingFactor: 0.2325 }),
  preset("vavae-imagenet256-f16d32-dinov2", VAVAE_F16, { aliases: ["vavae-f16d32"], hubId: null, scalingFactor: null }),
];

// Parameter names of SD-VAE (dcae.md section 10): those of diffusers, which our model uses, to the older ones.
//
// Files of 2022 call the linear layers of attention `query, key, value, proj_attn`. The original code (latent diffusion, "LDM")
// has 1x1 convolutions there, another tree of names, and counts the decoder's levels from the full resolution.

const ATTENTION =
  /^((encoder|decoder)\.(?:(mid)_block|(?:down|up)_blocks\.(\d+))\.attentions\.(\d+))\.(to_q|to_k|to_v|to_out\.0|group_norm)\.(weight|bias)$/;

const oldNames: Readonly<Record<string, string>> = {
  to_q: "query",
  to_k: "key",
  to_v: "value",
  "to_out.0": "proj_attn",
  group_norm: "group_norm",
};

/** Names as in diffusers files of 2022. */
const klToOldDiffusers: NameRule = ({ name, shape }) => {
  const [, place, , , , , layer = "", kind] = ATTENTION.exec(name) ?? [];
  return [{ name: place === undefined ? name : `${place}.${oldNames[layer]}.${kind}`, shape }];
};

const ldmAttentionNames: Readonly<Record<string, string>> = {
  to_q: "q",
  to_k: "k",
  to_v: "v",
  "to_out.0": "proj_out",
  group_norm: "norm",
};

const KIND = "(weight|bias)";

/** Names as in the original code of latent diffusion. */
function klToLdm(specs: readonly WeightPiece[]): NameRule {
  const levels = specs.map(({ name }) => Number(/^decoder\.up_blocks\.(\d+)\./.exec(name)?.[1] ?? 0));
  const deepest = Math.max(0, ...levels);
  const level = (part: string, index: string) =>
    part === "encoder" ? `down.${index}` : `up.${deepest - Number(index)}`;

  const rules: readonly (readonly [pattern: RegExp, target: (...groups: string[]) => string])[] = [
    [
      new RegExp(`^(encoder|decoder)\\.(?:down|up)_blocks\\.(\\d+)\\.resnets\\.(\\d+)\\.(\\w+)\\.${KIND}$`),
      (_, part = "", index = "", block = "", layer = "", kind = "") =>
        `${part}.${level(part, index)}.block.${block}.${resnetLayer(layer)}.${kind}`,
    ],
    [
      new RegExp(`^(encoder|decoder)\\.(?:down|up)_blocks\\.(\\d+)\\.(down|up)samplers\\.0\\.conv\\.${KIND}$`),
      (_, part = "", index = "", way = "", kind = "") => `${part}.${level(part, index)}.${way}sample.conv.${kind}`,
    ],
    [
      new RegExp(`^(encoder|decoder)\\.mid_block\\.resnets\\.([01])\\.(\\w+)\\.${KIND}$`),
      (_, part = "", block = "", layer = "", kind = "") =>
        `${part}.mid.block_${Number(block) + 1}.${resnetLayer(layer)}.${kind}`,
    ],
    [
      new RegExp(`^(encoder|decoder)\\.conv_norm_out\\.${KIND}$`),
      (_, part = "", kind = "") => `${part}.norm_out.${kind}`,
    ],
    [new RegExp(`^(encoder|decoder)\\.conv_(in|out)\\.${KIND}$`), (name = "") => name],
    [new RegExp(`^(?:post_)?quant_conv\\.${KIND}$`), (name = "") => name],
  ];

  return ({ name, shape }) => {
    const [place, , part = "", mid, index = "", block, layer = "", kind] = ATTENTION.exec(name) ?? [];
    if (place !== undefined) {
      const where = mid === undefined ? `${level(part, index)}.attn.${block}` : "mid.attn_1";
      const target = `${part}.${where}.${ldmAttentionNames[layer]}.${kind}`;
      return [{ name: target, shape: shape.length === 2 ? [...shape, 1, 1] : shape }];
    }
    for (const [pattern, target] of rules) {
      const match = pattern.exec(name);
      if (match) return [{ name: target(...match), shape }];
    }
    return undefined;
  };
}

function resnetLayer(layer: string): string {
  return layer === "conv_shortcut" ? "nin_shortcut" : layer;
}

const OLD_ATTENTION = /\.attentions\.\d+\.(query|key|value|proj_attn)\./;
/** The encoder of a decoder's condition: an asymmetric SD-VAE, whose other names are the same. */
const CONDITION = /^decoder\.(?:condition_encoder|encoder)\./;
const isAsymmetric = (names: readonly string[]) => names.some((name) => CONDITION.test(name));
const isDiffusers = (names: readonly string[]) =>
  names.some((name) => name.startsWith("encoder.mid_block.")) && !isAsymmetric(names);
const isOld = (names: readonly string[]) => names.some((name) => OLD_ATTENTION.test(name));

/** As diffusers names it, the same with the attention names of 2022, and as the original code of latent diffusion does. */
const SD_VAE_WEIGHT_NAMES = {
  // The parameters of our SD-VAE have the names of current diffusers.
  "kl-diffusers": { fits: (names) => isDiffusers(names) && !isOld(names), rule: () => (spec) => [spec] },
  "kl-diffusers-old": { fits: (names) => isDiffusers(names) && isOld(names), rule: () => klToOldDiffusers },
  "kl-ldm": {
    fits: (names) => names.some((name) => name.startsWith("encoder.mid.block_1.")) && !isAsymmetric(names),
    rule: klToLdm,
  },
} satisfies Record<string, WeightNames>;

/** Share of a tile that overlaps with the next one. */
const TILE_OVERLAP = 0.25;

/** Tiles of `sampleSize` with an overlap of a quarter (dcae.md section 9). */
function sdVaeTiles(config: SdVaeConfig): BlendedTiles {
  const side = config.sampleSize;
  const latentSide = Math.floor(side / sdVaeSpatialCompression(config));
  const pass = (from: number, to: number) => {
    const blend = Math.floor(to * TILE_OVERLAP);
    const stride = Math.floor(from * (1 - TILE_OVERLAP));
    const square = (size: number) => [size, size] as const;
    return { tile: square(from), stride: square(stride), blend: square(blend), keep: square(to - blend) };
  };
  return { encode: pass(side, latentSide), decode: pass(latentSide, side) };
}

export const SD_VAE = {
  label: "SD-VAE",
  className: "AutoencoderKL",
  latent: GAUSSIAN,
  compression: sdVaeSpatialCompression,
  encode: sdVaeEncode,
  decode: (scope, latent, config) => sdVaeDecode(scope, latent, config),
  isAdaptive: () => ({ encoder: false, decoder: false }),
  blendedTiles: sdVaeTiles,
  readConfig: parseKlConfig,
  writeConfig: toKlConfig,
  architecture: ({ sampleSize: _, ...network }) => network,
  officialConfig: { read: parseLdmConfig, write: toLdmConfig },
  weightNames: SD_VAE_WEIGHT_NAMES,
  layouts: {
    diffusers: { weights: "kl-diffusers", hubSuffix: "" },
    // Their repositories hold pickles under names of their own, which are opened as files.
    official: { weights: "kl-ldm", hubSuffix: null },
  },
  presets: SD_VAE_PRESETS,
} satisfies AutoencoderFamily<SdVaeConfig, DiagonalGaussian>;

/** SD-VAE, diffusers' AutoencoderKL, as a row of the families. Its encoder gives a diagonal Gaussian, not a point. */
import type { AutoencoderFamily, BlendedTiles, NameRule, PresetBase, WeightNames, WeightPiece } from "../family.js";
import { type DiagonalGaussian, GAUSSIAN } from "../latent.js";
import { sdVaeDecode, sdVaeEncode } from "./sd-vae.js";
import { parseKlConfig, type SdVaeConfig, sdVaeSpatialCompression, toKlConfig } from "./sd-vae-config.js";

export interface SdVaePreset extends PresetBase {
  readonly kind: "sd-vae";
  readonly family: "sd-vae";
  readonly config: SdVaeConfig;
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

const SD_VAE_PRESETS: readonly SdVaePreset[] = [sdVaePreset("sd-vae-ft-ema"), sdVaePreset("sd-vae-ft-mse")];

// Parameter names of SD-VAE (dcae.md section 10): those of diffusers, which our model uses, to the older ones.
//
// Files of 2022 call the linear layers of attention `query, key, value, proj_attn`. The original code (latent diffusion, "LDM")
// has 1x1 convolutions there, another tree of names, and counts the decoder's levels from the full resolution.

const ATTENTION =
  /^((?:encoder|decoder)\.mid_block\.attentions\.0)\.(to_q|to_k|to_v|to_out\.0|group_norm)\.(weight|bias)$/;

const oldNames: Readonly<Record<string, string>> = {
  to_q: "query",
  to_k: "key",
  to_v: "value",
  "to_out.0": "proj_attn",
  group_norm: "group_norm",
};

/** Names as in diffusers files of 2022. */
const klToOldDiffusers: NameRule = ({ name, shape }) => {
  const [, place, layer = "", kind] = ATTENTION.exec(name) ?? [];
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
    const [, place, layer = "", kind] = ATTENTION.exec(name) ?? [];
    if (place !== undefined) {
      const target = `${place.split(".")[0]}.mid.attn_1.${ldmAttentionNames[layer]}.${kind}`;
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

const OLD_ATTENTION = /\.mid_block\.attentions\.0\.(query|key|value|proj_attn)\./;
const isDiffusers = (names: readonly string[]) => names.some((name) => name.startsWith("encoder.mid_block."));
const isOld = (names: readonly string[]) => names.some((name) => OLD_ATTENTION.test(name));

/** As diffusers names it, the same with the attention names of 2022, and as the original code of latent diffusion does. */
const SD_VAE_WEIGHT_NAMES = {
  // The parameters of our SD-VAE have the names of current diffusers.
  "kl-diffusers": { fits: (names) => isDiffusers(names) && !isOld(names), rule: () => (spec) => [spec] },
  "kl-diffusers-old": { fits: (names) => isDiffusers(names) && isOld(names), rule: () => klToOldDiffusers },
  "kl-ldm": { fits: (names) => names.some((name) => name.startsWith("encoder.mid.block_1.")), rule: klToLdm },
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
  decode: sdVaeDecode,
  isAdaptive: () => ({ encoder: false, decoder: false }),
  blendedTiles: sdVaeTiles,
  readConfig: parseKlConfig,
  writeConfig: toKlConfig,
  weightNames: SD_VAE_WEIGHT_NAMES,
  layouts: { diffusers: { weights: "kl-diffusers", hubSuffix: "" } },
  presets: SD_VAE_PRESETS,
} satisfies AutoencoderFamily<SdVaeConfig, DiagonalGaussian>;

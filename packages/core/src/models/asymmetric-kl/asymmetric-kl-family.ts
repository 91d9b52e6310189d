/** The asymmetric SD-VAE, diffusers' AsymmetricAutoencoderKL, as a row of the families. */
import type { AutoencoderFamily, NameRule, PresetBase, WeightNames } from "../family.js";
import { type DiagonalGaussian, GAUSSIAN } from "../latent.js";
import { SD_VAE } from "../sd-vae/sd-vae-family.js";
import { asymmetricKlDecode, asymmetricKlEncode } from "./asymmetric-kl.js";
import {
  type AsymmetricKlConfig,
  halfOf,
  parseAsymmetricKlConfig,
  toAsymmetricKlConfig,
} from "./asymmetric-kl-config.js";

/** A published asymmetric SD-VAE. */
export interface AsymmetricKlPreset extends PresetBase {
  readonly kind: "asymmetric-kl";
  readonly family: "sd-vae";
  readonly config: AsymmetricKlConfig;
}

const CONDITION = "decoder.condition_encoder.";
/** Where the authors' own files have it. */
const LDM_CONDITION = "decoder.encoder.";

const has = (names: readonly string[], prefix: string) => names.some((name) => name.startsWith(prefix));

/** As diffusers names it, and as the authors' code, which is latent diffusion's but for the condition. */
const ASYMMETRIC_KL_WEIGHT_NAMES = {
  "asymmetric-kl-diffusers": { fits: (names) => has(names, CONDITION), rule: () => (spec) => [spec] },
  "asymmetric-kl-ldm": {
    fits: (names) => has(names, LDM_CONDITION),
    rule: (specs) => {
      const others = SD_VAE.weightNames["kl-ldm"].rule(specs);
      const rule: NameRule = ({ name, shape }) =>
        name.startsWith(CONDITION)
          ? [{ name: LDM_CONDITION + name.slice(CONDITION.length), shape }]
          : others({ name, shape });
      return rule;
    },
  },
} satisfies Record<string, WeightNames>;

const published = (widths: readonly number[], layersPerBlock: number): AsymmetricKlConfig => ({
  inChannels: 3,
  outChannels: 3,
  latentChannels: 4,
  encoder: { blockOutChannels: [128, 256, 512, 512], layersPerBlock: 2, attentionLevels: [] },
  decoder: { blockOutChannels: widths, layersPerBlock, attentionLevels: [] },
  normNumGroups: 32,
  act: "silu",
  sampleSize: 256,
});

/** Both have the encoder, and with it the latents, of Stable Diffusion 1. */
const preset = (
  name: string,
  facts: Pick<AsymmetricKlPreset, "config" | "parameters" | "gmacs">,
): AsymmetricKlPreset => ({
  kind: "asymmetric-kl",
  family: "sd-vae",
  name,
  aliases: [],
  hubId: `cross-attention/${name}`,
  scalingFactor: 0.18215,
  ...facts,
});

// Parameters of the decoder are with the encoder of the condition; multiplications are those without a condition.

const PRESETS: readonly AsymmetricKlPreset[] = [
  preset("asymmetric-autoencoder-kl-x-1-5", {
    config: published([192, 384, 768, 768], 3),
    parameters: { encoder: 34_163_592, decoder: 160_136_835, total: 194_300_519 },
    gmacs: {
      256: { encode: 136.4, decode: 840.3 },
      512: { encode: 558.3, decode: 3380.5 },
      1024: { encode: 2439.5, decode: 13831.4 },
    },
  }),
  preset("asymmetric-autoencoder-kl-x-2", {
    config: published([256, 512, 1024, 1024], 5),
    parameters: { encoder: 34_163_592, decoder: 371_966_467, total: 406_130_151 },
    gmacs: {
      256: { encode: 136.4, decode: 1995.5 },
      512: { encode: 558.3, decode: 8007.8 },
      1024: { encode: 2439.5, decode: 32443.4 },
    },
  }),
];

export const ASYMMETRIC_KL = {
  label: "asymmetric SD-VAE",
  className: "AsymmetricAutoencoderKL",
  latent: GAUSSIAN,
  compression: (config: AsymmetricKlConfig) => SD_VAE.compression(halfOf(config, "encoder")),
  encode: asymmetricKlEncode,
  decode: asymmetricKlDecode,
  takesCondition: true,
  isAdaptive: () => ({ encoder: false, decoder: false }),
  // The class of diffusers has no tiles; these are its sibling's.
  blendedTiles: (config: AsymmetricKlConfig) => SD_VAE.blendedTiles(halfOf(config, "encoder")),
  readConfig: parseAsymmetricKlConfig,
  writeConfig: toAsymmetricKlConfig,
  architecture: ({ sampleSize: _, ...network }: AsymmetricKlConfig) => network,
  weightNames: ASYMMETRIC_KL_WEIGHT_NAMES,
  layouts: { diffusers: { weights: "asymmetric-kl-diffusers", hubSuffix: "" } },
  presets: PRESETS,
} satisfies AutoencoderFamily<AsymmetricKlConfig, DiagonalGaussian>;

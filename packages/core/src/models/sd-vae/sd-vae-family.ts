/** SD-VAE, diffusers' AutoencoderKL, as a row of the families. Its encoder gives a diagonal Gaussian, not a point. */
import type { BlendedTiles } from "../blended-tiles.js";
import type { AutoencoderFamily } from "../family.js";
import { type DiagonalGaussian, GAUSSIAN } from "../latent.js";
import { parseKlConfig, toKlConfig } from "./kl-config.js";
import { SD_VAE_WEIGHT_NAMES } from "./kl-names.js";
import { sdVaeDecode, sdVaeEncode } from "./sd-vae.js";
import { type SdVaeConfig, sdVaeSpatialCompression } from "./sd-vae-config.js";
import { SD_VAE_PRESETS } from "./sd-vae-presets.js";

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

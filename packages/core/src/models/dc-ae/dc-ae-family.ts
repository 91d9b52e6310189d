/** DC-AE as a row of the families. */
import type { Tensor } from "../../graph/tensor.js";
import { blendedTiles } from "../blended-tiles.js";
import type { AutoencoderFamily } from "../family.js";
import { POINT } from "../latent.js";
import { dcAeDecode, dcAeEncode } from "./dc-ae.js";
import { type DcAeConfig, spatialCompression } from "./dc-ae-config.js";
import { DC_AE_WEIGHT_NAMES } from "./dc-ae-names.js";
import { DC_AE_PRESETS } from "./dc-ae-presets.js";
import { parseDiffusersConfig, toDiffusersConfig } from "./diffusers-config.js";
import { parseOfficialConfig, toOfficialConfig } from "./official-config.js";

export const DC_AE = {
  label: "DC-AE",
  className: "AutoencoderDC",
  latent: POINT,
  compression: spatialCompression,
  encode: dcAeEncode,
  decode: dcAeDecode,
  isAdaptive: ({ encoder, decoder }) => ({
    encoder: encoder.outBlockType === "AdaptiveOutputConvLayer",
    decoder: decoder.inBlockType === "AdaptiveInputConvLayer",
  }),
  blendedTiles: (config) => blendedTiles({ tile: [512, 512], stride: [448, 448] }, spatialCompression(config)),
  readConfig: (json, source) => ({ ...parseDiffusersConfig(json, source), shiftFactor: null }),
  writeConfig: (config, { scalingFactor }) => toDiffusersConfig(config, scalingFactor),
  officialConfig: { read: parseOfficialConfig, write: toOfficialConfig },
  weightNames: DC_AE_WEIGHT_NAMES,
  layouts: {
    official: { weights: "official", hubSuffix: "" },
    diffusers: { weights: "diffusers", hubSuffix: "-diffusers" },
  },
  presets: DC_AE_PRESETS,
} satisfies AutoencoderFamily<DcAeConfig, Tensor>;

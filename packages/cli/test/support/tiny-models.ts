/** Models of a few thousand parameters, made by `dcae init`, for commands that need one. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { succeed } from "./cli.js";

const stages = { width_list: [8, 16, 32], depth_list: [0, 1, 1], block_type: ["ResBlock", "ResBlock", "EViTGLU"] };

/** Compression 4, 8 latent channels; the config with the official constructor's names. */
export const TINY_CONFIG = {
  latent_channels: 8,
  head_dim: 8,
  encoder: stages,
  decoder: { ...stages, norm: ["bn2d", "bn2d", "trms2d"], act: ["relu", "relu", "silu"] },
};

const plainStages = { width_list: [8, 16, 32], depth_list: [0, 1, 1] };

/** As DC-AE 1.5: any number of latent channels up to 8. */
export const ADAPTIVE_CONFIG = {
  latent_channels: 8,
  encoder: { ...plainStages, out_block_type: "AdaptiveOutputConvLayer", out_shortcut: null },
  decoder: { ...plainStages, in_block_type: "AdaptiveInputConvLayer", in_shortcut: null },
};

/** An SD-VAE with compression 2. */
export const TINY_KL_CONFIG = {
  _class_name: "AutoencoderKL",
  in_channels: 3,
  out_channels: 3,
  latent_channels: 4,
  block_out_channels: [8, 16],
  layers_per_block: 1,
  norm_num_groups: 4,
  act_fn: "silu",
  down_block_types: ["DownEncoderBlock2D", "DownEncoderBlock2D"],
  up_block_types: ["UpDecoderBlock2D", "UpDecoderBlock2D"],
  sample_size: 32,
  scaling_factor: 0.5,
};

/** Writes a config and a checkpoint of it; gives the folder. */
export async function makeModel(
  folder: string,
  name: string,
  config: object = TINY_CONFIG,
  ...flags: readonly string[]
): Promise<string> {
  const configPath = join(folder, `${name}-config.json`);
  writeFileSync(configPath, JSON.stringify(config));
  const path = join(folder, name);
  await succeed("init", "--config", configPath, "--seed", "7", "--out", path, ...flags);
  return path;
}

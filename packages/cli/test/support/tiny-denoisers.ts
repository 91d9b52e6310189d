/** Diffusion models of a few thousand parameters, for latents of `TINY_CONFIG` at 16 pixels. */
import { join } from "node:path";
import { initialWeights } from "@dcae/core/checkpoint";
import { denoiserParameters, parseOfficialDenoiser, saveDenoiser } from "@dcae/diffusion";

export interface TinyDenoiser {
  readonly arch?: "uvit" | "dit";
  readonly model?: Readonly<Record<string, unknown>>;
  readonly classes?: readonly string[] | null;
  /** As config.json names it. */
  readonly autoencoder?: string | null;
  readonly scalingFactor?: number | null;
}

export const TINY_CLASSES = ["cat", "dog", "7"];

/** Writes a checkpoint; gives its folder. */
export async function makeDenoiser(folder: string, name: string, options: TinyDenoiser = {}): Promise<string> {
  const { arch = "uvit", model = {}, classes = TINY_CLASSES, autoencoder = null, scalingFactor = 0.5 } = options;
  const { config, recipe } = parseOfficialDenoiser(arch, {
    input_size: 4,
    in_channels: 8,
    patch_size: 1,
    hidden_size: 16,
    depth: 2,
    num_heads: 2,
    num_classes: 3,
    ...model,
  });
  const path = join(folder, name);
  const description = { config, recipe, classes, autoencoder, scalingFactor };
  await saveDenoiser(path, description, initialWeights(denoiserParameters(config), 3));
  return path;
}

/** Diffusion models of a few thousand parameters, for latents of `TINY_CONFIG` at 16 pixels. */
import { join } from "node:path";
import { initialWeights } from "@dcae/core/checkpoint";
import { denoiserParameters, parseOfficialDenoiser, saveDenoiser } from "@dcae/diffusion";
import { noisyWeights } from "@dcae/test-support/weights";

export interface TinyDenoiser {
  readonly arch?: "uvit" | "dit" | "sana_cls";
  readonly model?: Readonly<Record<string, unknown>>;
  readonly classes?: readonly string[] | null;
  /** As config.json names it. */
  readonly autoencoder?: string | null;
  readonly scalingFactor?: number | null;
  readonly shiftFactor?: number;
  /** Weights that are nowhere 0, as of a trained model: a fresh DiT predicts zeros. */
  readonly noisy?: boolean;
}

export const TINY_CLASSES = ["cat", "dog", "7"];

/** Writes a checkpoint; gives its folder. */
export async function makeDenoiser(folder: string, name: string, options: TinyDenoiser = {}): Promise<string> {
  const {
    arch = "uvit",
    model = {},
    classes = TINY_CLASSES,
    autoencoder = null,
    scalingFactor = 0.5,
    shiftFactor = 0,
    noisy = false,
  } = options;
  const { config, recipe } = parseOfficialDenoiser(arch, {
    input_size: 4,
    in_channels: 8,
    patch_size: 1,
    hidden_size: 16,
    depth: 2,
    ...(arch === "sana_cls" ? { attention_head_dim: 8 } : { num_heads: 2 }),
    num_classes: 3,
    ...model,
  });
  const path = join(folder, name);
  const description = { config, recipe, classes, autoencoder, scalingFactor, shiftFactor };
  const specs = denoiserParameters(config);
  await saveDenoiser(path, description, noisy ? noisyWeights(specs) : initialWeights(specs, 3));
  return path;
}

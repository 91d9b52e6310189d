/**
 * The scale that diffusion models see latents in: (z - shift) * factor. Autoencoders themselves never apply it; everything that
 * scales latents or takes their scale away does it here.
 */
import { ConfigError } from "../errors.js";
import { Tensor } from "../graph/tensor.js";

export interface LatentScale {
  /** 1 / RMS of the latents over the training set; null where none was published. */
  readonly factor: number | null;
  /** Subtracted before scaling; 0 for every DC-AE. */
  readonly shift: number;
}

function requireFactor({ factor }: LatentScale, model: string): number {
  if (factor !== null) return factor;
  throw new ConfigError(`${model}: no scaling factor is known for this model`, {
    hint: "Measure 1 / RMS of its latents on your data, and pass it as scalingFactor when loading.",
  });
}

/**
 * Latents of the autoencoder in the scale of diffusion models.
 *
 * @param model for messages
 * @throws ConfigError where no factor is known
 */
export function scaleLatent(latent: Tensor, scale: LatentScale, model: string): Tensor<"float32"> {
  const factor = requireFactor(scale, model);
  const data = latent.toFloat32().map((value) => (value - scale.shift) * factor);
  return Tensor.float32(data, latent.shape);
}

/** The inverse of `scaleLatent`. */
export function unscaleLatent(latent: Tensor, scale: LatentScale, model: string): Tensor<"float32"> {
  const factor = requireFactor(scale, model);
  const data = latent.toFloat32().map((value) => value / factor + scale.shift);
  return Tensor.float32(data, latent.shape);
}

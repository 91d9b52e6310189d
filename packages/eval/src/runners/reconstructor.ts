/** The model side of a reconstruction run: anything that gives pictures back. */
import { createHash } from "node:crypto";
import type { AutoencoderDCModel, AutoencoderKLModel, Tensor } from "@dcae/core";
import type { Weights } from "@dcae/core/checkpoint";

export interface Reconstruction {
  /** [N, 3, H, W], nominally in [-1, 1]. */
  readonly pictures: Tensor;
  /** The latents on the way, for their moments. */
  readonly latent?: Tensor;
}

export interface Reconstructor {
  readonly name: string;
  /** Changes with the weights; decides whether a stopped run may go on. */
  readonly fingerprint: string;
  /** For results, as in "onnxruntime-node cpu". */
  readonly engine: string;
  /** Pictures [N, 3, H, W] in [-1, 1] and back. */
  reconstruct(pictures: Tensor): Promise<Reconstruction>;
}

/** A short hash of a model's names, shapes and vectors (norms and biases), without reading its large matrices. */
export async function weightsFingerprint(weights: Weights): Promise<string> {
  const hash = createHash("sha256");
  for (const entry of [...weights.entries.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    hash.update(`${entry.name} ${entry.dtype} ${entry.shape.join("x")}\n`);
    if (entry.shape.length === 1) hash.update((await entry.read()).bytes);
  }
  return hash.digest("hex");
}

/**
 * An autoencoder as a reconstructor: deterministic, SD-VAE by the mean of its Gaussian. The model stays the caller's.
 */
export async function autoencoderReconstructor(model: AutoencoderDCModel | AutoencoderKLModel): Promise<Reconstructor> {
  return {
    name: model.name,
    fingerprint: await weightsFingerprint(model.weights),
    engine: model.engine.name,
    async reconstruct(pictures) {
      const encoded = await model.encode(pictures);
      const latent = "mode" in encoded ? encoded.mode() : encoded;
      return { pictures: await model.decode(latent), latent };
    },
  };
}

/** The model side of a reconstruction run: anything that gives pictures back. */
import { type Image, imagesToTensor, type Tensor, tensorToImages } from "@dcae/core";
import { weightsFingerprint } from "@dcae/core/checkpoint";
import type { Autoencoder } from "@dcae/core/internal";
import type { Protocol } from "../protocols/protocol.js";

export interface Reconstruction {
  /** [N, 3, H, W], nominally in [-1, 1]. */
  readonly pictures: Tensor;
  /** The latents on the way, for their moments. */
  readonly latent?: Tensor;
}

export interface Reconstructor {
  readonly name: string;
  /** Changes with the weights; decides whether a stopped run may go on, and says in results what was judged. */
  readonly fingerprint: string;
  /** For results, as in "onnxruntime-node cpu". It names all that changes the last digits: a run goes on only with the same. */
  readonly engine: string;
  /** What sides of pictures must be multiples of (default 1). */
  readonly multiple?: number;
  /** Pictures [N, 3, H, W] in [-1, 1] and back. */
  reconstruct(pictures: Tensor): Promise<Reconstruction>;
}

/**
 * An autoencoder as a reconstructor: deterministic, Gaussians by their mean. The model stays the caller's.
 */
export async function autoencoderReconstructor(model: Autoencoder): Promise<Reconstructor> {
  return {
    name: model.name,
    fingerprint: await weightsFingerprint(model.weights),
    engine: model.engine.name,
    multiple: model.compression,
    async reconstruct(pictures) {
      const latent = await model.encodeLatent(pictures);
      return { pictures: await model.decode(latent), latent };
    },
  };
}

/** Reconstructions as 8-bit pictures. The batch is filled up to `size`, so that the model needs one program. */
export async function reconstructBatch(
  model: Reconstructor,
  originals: readonly Image[],
  size: number,
  protocol: Pick<Protocol, "rounding">,
): Promise<{ readonly images: Image[]; readonly latent: Tensor | undefined }> {
  const filled = Array.from({ length: size }, (_, i) => originals[Math.min(i, originals.length - 1)] as Image);
  const { pictures, latent } = await model.reconstruct(imagesToTensor(filled));
  const used = pictures.slice([{ stop: originals.length }]);
  return { images: tensorToImages(used, { rounding: protocol.rounding }), latent };
}

/** A batch of pictures through a model, back to 8 bits. */
import { type Image, imagesToTensor, type Tensor, tensorToImages } from "@dcae/core";
import type { Protocol } from "../protocols/protocol.js";
import type { Reconstructor } from "./reconstructor.js";

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

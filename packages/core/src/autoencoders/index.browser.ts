/** Public names of the autoencoders that run anywhere, given weights and an engine. */
export {
  AutoencoderDCModel,
  buildDecodeProgram,
  buildEncodeProgram,
  type CodecOptions,
  DEFAULT_TILING,
  type EncodeDcOptions,
  type ModelParts,
  type ReconstructOptions,
} from "./autoencoder-dc.js";
export {
  AutoencoderKLModel,
  buildKlDecodeProgram,
  buildKlEncodeProgram,
  type DiagonalGaussian,
  diagonalGaussian,
} from "./autoencoder-kl.js";
export type { TilingOptions } from "./tiling.js";

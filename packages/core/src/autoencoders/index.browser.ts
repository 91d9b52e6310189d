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
export { type LatentScale, scaleLatent, unscaleLatent } from "./latent-scale.js";
export {
  addChannelSums,
  type ChannelMoments,
  type ChannelSums,
  channelMoments,
  channelSums,
  type LatentStatistics,
  type LatentStatisticsAccumulator,
  latentStatistics,
  type Moments,
  momentsOf,
  type ValueSums,
  valueSums,
} from "./latent-statistics.js";
export { checkPictures } from "./model-tensors.js";
export type { TilingOptions } from "./tiling.js";

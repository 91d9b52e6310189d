/** Public names of the autoencoders that run anywhere, given weights and an engine. */

export type { TilingOptions } from "../models/blended-tiles.js";
export { type DiagonalGaussian, diagonalGaussian } from "../models/latent.js";
export { buildDecodeProgram, buildEncodeProgram } from "../models/model-programs.js";
export {
  Autoencoder,
  type CodecOptions,
  type EncodeLatentOptions,
  type EncodePictureOptions,
  type MemoryPlan,
  type ModelParts,
  type ReconstructOptions,
} from "./autoencoder.js";
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

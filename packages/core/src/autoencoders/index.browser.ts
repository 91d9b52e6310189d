/** Public names of the autoencoders that run anywhere, given weights and an engine. */

export type { TilingOptions } from "../models/family.js";
export { type DiagonalGaussian, diagonalGaussian } from "../models/latent.js";
export { buildDecodeProgram, buildEncodeProgram } from "../models/model-programs.js";
export {
  Autoencoder,
  type CodecOptions,
  type DecodeLatentOptions,
  type EncodeLatentOptions,
  type EncodePictureOptions,
  type MemoryPlan,
  type ModelParts,
  type ReconstructOptions,
  type WarmUpOptions,
} from "./autoencoder.js";
export { checkPictures } from "./check-tensors.js";
export {
  addChannelSums,
  type ChannelMoments,
  type ChannelSums,
  channelMoments,
  channelSums,
  type LatentScale,
  type LatentStatistics,
  type LatentStatisticsAccumulator,
  latentStatistics,
  type Moments,
  momentsOf,
  scaleLatent,
  unscaleLatent,
  type ValueSums,
  valueSums,
} from "./latent-statistics.js";

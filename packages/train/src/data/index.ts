/** Public names of training data. */
export { detectSource } from "./detect-source.js";
export { fileSource } from "./file-source.js";
export { makePicture } from "./make-picture.js";
export {
  createPictureLoader,
  type LoaderPosition,
  type PictureBatch,
  type PictureLoader,
  type PictureLoaderOptions,
  type WeightedSource,
} from "./picture-loader.js";
export { createPictureMaker, type PictureMaker } from "./picture-maker.js";
export { CROPS, type Crop, type PictureRecipe, type PictureView, recipeName } from "./picture-recipe.js";
export {
  createPictureSampler,
  type PictureSampler,
  type PictureSamplerOptions,
  type Sample,
  type SamplerPosition,
} from "./picture-sampler.js";
export type { RecipeSource } from "./recipe-source.js";
export { type SceneSourceOptions, sceneSource } from "./scene-source.js";
export { groupSamples, type ShardMember, type ShardSample, type ShardSamples } from "./shard-samples.js";
export { readShard, shardSource } from "./shard-source.js";
export { readTar, type TarMember } from "./tar-reader.js";

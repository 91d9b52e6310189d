/** Public names of latent folders. */
export type { EncodedItems, EncodeItems } from "./encode-unit.js";
export { type BatchOrder, batchesPerEpoch, batchIndices } from "./latent-batches.js";
export type { LatentBatch, LatentDataset } from "./latent-dataset.js";
export {
  type LatentItem,
  type LatentLayout,
  type LatentManifest,
  latentCount,
  MANIFEST_NAME,
  parseManifest,
  pictureFile,
  shardCount,
} from "./latent-manifest.js";
export type { LatentFolderStatistics } from "./latent-statistics.js";
export { openLatents, writeLatentStatistics } from "./open-latents.node.js";
export { type SkippedPictures, skippedPictures } from "./skipped-pictures.node.js";
export {
  type LatentsProgress,
  missingUnits,
  type WriteLatentsOptions,
  writeLatents,
} from "./write-latents.node.js";

/** Public names of checkpoints that need no file system. */
export { type ByteSource, blobSource, bytesSource } from "./byte-source.js";
export { fetchModel } from "./hub/fetch-model.js";
export { parseJson } from "./json-text.js";
export {
  inferModel,
  type ModelMatch,
  matchPublishedModels,
  recognizeFormat,
} from "./names/infer-model.js";
export {
  type CheckWeightsOptions,
  checkWeights,
  mapWeights,
  type PlannedWeight,
  planWeights,
  unmapWeights,
  type WeightPlan,
} from "./names/weight-plan.js";
export { decodeNpy, encodeNpy, encodeNpyHeader, type NpyHeader, parseNpyHeader } from "./npy/npy.js";
export {
  type DownloadProgress,
  type FetchModelOptions,
  type ModelSource,
  type ModelUrls,
  type OpenedModel,
  parseModelConfig,
} from "./opened-model.js";
export { openSafetensors, type SafetensorsFile } from "./safetensors/reader.js";
export {
  encodeSafetensors,
  planSafetensors,
  type SafetensorsLayout,
  type SafetensorsWriteOptions,
  tensorEntries,
  type WritableEntry,
  type WriteProgress,
} from "./safetensors/writer.js";
export { encodeTarMember, readTarDirectory, TAR_END, type TarMember } from "./tar-directory.js";
export { type KerasLayer, type LayersModel, readLayersModel, shardPaths } from "./tfjs/layers-model.js";
export { openTorch } from "./torch/torch-file.js";
export {
  bytesOfTensor,
  type FileLocation,
  findNonFinite,
  initialWeights,
  type NonFinite,
  tensorFromBytes,
  type WeightEntry,
  type Weights,
} from "./weights.js";
export { readZipDirectory, type ZipMember, zipDataOffset } from "./zip-directory.js";

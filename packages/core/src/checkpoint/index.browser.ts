/** Public names of checkpoints that need no file system. */
export { type ByteSource, blobSource, memorySource } from "./byte-source.js";
export { type CheckWeightsOptions, checkWeights } from "./check-weights.js";
export { type FetchModelOptions, fetchModel } from "./fetch-model.js";
export { findNonFinite, type NonFinite } from "./find-non-finite.js";
export { inferModel, type ModelMatch, matchPublishedModels } from "./infer-model.js";
export { initialWeights } from "./initial-weights.js";
export { mapWeights, unmapWeights } from "./map-weights.js";
export { decodeNpy, encodeNpy } from "./npy.js";
export { encodeNpyHeader, type NpyHeader, parseNpyHeader } from "./npy-header.js";
export type { DownloadProgress, OpenedModel } from "./opened-model.js";
export { recognizeFormat, type WeightFormat } from "./recognize-format.js";
export { tensorEntries, type WritableEntry } from "./safetensors-layout.js";
export { openSafetensors, type SafetensorsFile } from "./safetensors-reader.js";
export { encodeSafetensors, type SafetensorsWriteOptions, type WriteProgress } from "./safetensors-writer.js";
export { openTorch } from "./torch-file.js";
export { type NameRule, type PlannedWeight, planWeights, type WeightPiece, type WeightPlan } from "./weight-plan.js";
export type { FileLocation, WeightEntry, Weights } from "./weights.js";
export { readZipDirectory, type ZipMember, zipDataOffset } from "./zip-directory.js";

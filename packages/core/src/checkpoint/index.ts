/** Public names of checkpoints: formats, names, files. */
export {
  type AtomicDirectoryOptions,
  type AtomicFile,
  writeDirectoryAtomic,
  writeFileAtomic,
} from "./atomic-file.node.js";
export { errorCode, fileError, openFileSource, readJson, readSmallFile } from "./file-source.node.js";
export { modelCacheFolder } from "./hub/cache.node.js";
export * from "./index.browser.js";
export { readNpyFile, writeNpyFile } from "./npy/npy-file.node.js";
export {
  type ModelFiles,
  type OpenedModelFiles,
  openModel,
  openModelUrls,
  openTorchFile,
  openWeightsFile,
  type ResolveModelOptions,
  resolveModelFiles,
} from "./open-model.node.js";
export {
  openSafetensorsFile,
  openShardedFile,
  type ShardedWriteOptions,
  writeSafetensorsFile,
  writeShardedFiles,
} from "./safetensors/file.node.js";
export { type ProcessOwner, stateOf, temporaryStem, thisProcess } from "./temporary-name.node.js";
export { openLayersModel } from "./tfjs/layers-model.node.js";
export { weightsFingerprint } from "./weights-fingerprint.node.js";

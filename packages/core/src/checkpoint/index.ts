/** Public names of checkpoints: formats, names, files. */
export { type AtomicDirectoryOptions, writeDirectoryAtomic } from "./atomic-directory.node.js";
export { type AtomicFile, writeFileAtomic } from "./atomic-file.node.js";
export { errorCode, fileError } from "./file-error.node.js";
export { openFileSource } from "./file-source.node.js";
export { modelCacheFolder } from "./hub-cache.node.js";
export * from "./index.browser.js";
export { readNpyFile, writeNpyFile } from "./npy-file.node.js";
export { type OpenedModelFiles, openModel, openWeightsFile } from "./open-model.node.js";
export { type ModelFiles, type ResolveModelOptions, resolveModelFiles } from "./resolve-model-files.node.js";
export { openSafetensorsFile, writeSafetensorsFile } from "./safetensors-file.node.js";
export { openShardedFile, type ShardedWriteOptions, writeShardedFiles } from "./sharded-file.node.js";
export { readSmallFile } from "./small-file.node.js";
export { temporaryStem } from "./temporary-name.node.js";
export { openTorchFile } from "./torch-file.node.js";

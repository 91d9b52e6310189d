/**
 * What the other packages of this project share with core: the pieces behind the autoencoders, and how errors and names are
 * shown. Unstable: it changes with any release, without notice. Programs take `@dcae/core` and the entries of its areas.
 */
export { type CalibrationOptions, calibrate } from "../autoencoders/calibrate.node.js";
export {
  bundledModelPath,
  type OpenOptions,
  openCheckpoint,
  type SaveOptions,
  STORAGE_DTYPES,
  type StorageDType,
  saveCheckpoint,
  writeCard,
} from "../autoencoders/checkpoint.node.js";
export {
  EXPORT_LAYOUTS,
  type ExportedPart,
  type ExportLayout,
  type ExportOptions,
  type ExportProgress,
  exportOnnx,
  isExportFile,
  type VerifiedPart,
  writeExportSummary,
  writeVerifiedOnnx,
} from "../autoencoders/export-onnx.node.js";
export * from "../autoencoders/index.browser.js";
export type { Checkpoint } from "../autoencoders/pretrained.js";
export {
  AsymmetricAutoencoderKL,
  AutoencoderDC,
  AutoencoderKL,
  AutoencoderTiny,
  chooseModelForm,
  type LoadOptions,
  loadAutoencoder,
  type ModelForm,
  type PretrainedAutoencoder,
} from "../autoencoders/pretrained.node.js";
export { checkOptions, type OptionNames } from "../check-options.js";
export { describeOwner, type FileLock, type LockOwner, lockOwner, takeLock } from "../checkpoint/file-lock.node.js";
export { RESOLVE_OPTIONS } from "../checkpoint/open-model.node.js";
export { nameOfSource } from "../checkpoint/opened-model.js";
export { removeFile } from "../checkpoint/remove-file.node.js";
export { closestName, didYouMean } from "../closest-name.js";
export {
  type ClusterPlace,
  clusterPlaces,
  clusterRank,
  clusterShard,
  type Environment,
  PLACE_VARIABLES,
} from "../cluster/cluster-place.js";
export {
  checkPart,
  formatPart,
  type HoldOptions,
  holdLock,
  holdShard,
  type JobPart,
} from "../cluster/hold-shard.node.js";
export * from "../errors.js";
export { formatBytes, formatCount, plural } from "../format-amount.js";
export { BUNDLED_MODEL } from "../models/model-description.js";
export * from "../parallel/index.js";
export { type OpenMpiOptions, openMpi } from "../parallel/open-mpi.node.js";
export { formatTable, printable, printableLine } from "../printable.js";
export { median, quantile, type RunTimes, summarizeTimes } from "../quantile.js";
export { unlessAborted } from "../runtime/close-all.js";
export { ENGINE_OPTIONS } from "../runtime/create-engine.node.js";
export { inPlaceUpdates } from "../runtime/in-place-updates.js";
export { createLoadedCache, createProgramCache, type ProgramCache } from "../runtime/loaded-cache.js";

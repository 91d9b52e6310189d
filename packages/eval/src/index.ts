/**
 * Evaluation of autoencoders and generators: runners, metrics, networks, statistics, protocols, reports, throughput.
 */
export { benchAutoencoder } from "./bench/bench-autoencoder.node.js";
export { type BenchOptions, type BenchProgress, benchCases } from "./bench/bench-cases.js";
export type {
  BenchCase,
  BenchEntry,
  BenchMeasurement,
  BenchPart,
  BenchPeak,
  BenchResult,
} from "./bench/bench-result.js";
export { formatBench } from "./bench/format-bench.js";
export { type NpzArray, type NpzFile, openNpz } from "./files/npz-reader.node.js";
export { type NpzWriteOptions, type StreamedArray, writeNpz } from "./files/npz-writer.node.js";
export { type CmmdOptions, type CmmdResult, cmmd } from "./metrics/cmmd.js";
export { type FrechetResult, frechetDistance } from "./metrics/frechet-distance.js";
export { type InceptionScore, type InceptionScoreOptions, inceptionScore } from "./metrics/inception-score.js";
export { type NeighborAccuracyOptions, neighborAccuracy } from "./metrics/neighbor-accuracy.js";
export type { VectorSet } from "./metrics/pairwise.js";
export {
  neighborRadii,
  type PrecisionRecall,
  type PrecisionRecallOptions,
  precisionRecall,
} from "./metrics/precision-recall.js";
export { type SsimOptions, type SsimResult, ssim, ssimProgram } from "./metrics/ssim.js";
export { CLIP_VIT_L14_336, type ClipVisionConfig, clipProgram, clipVision } from "./networks/clip-vision.js";
export {
  type FindNetworkOptions,
  findNetwork,
  type InspectedFile,
  inspectNetworks,
  MissingWeightsError,
  metricsFolder,
  type NetworkWeights,
  searchFolders,
  type UsedFile,
} from "./networks/find-network.node.js";
export {
  type InceptionOptions,
  type InceptionOutput,
  type InceptionPipeline,
  type InceptionProgramOptions,
  type InceptionValues,
  inception,
  inceptionProgram,
} from "./networks/inception.js";
export { type LpipsProgramOptions, lpipsProgram } from "./networks/lpips-program.js";
export { NETWORK_FILES } from "./networks/network-files.js";
export { picturesToTensor, resample, type TensorResize } from "./networks/pictures.js";
export { checkComparable, incomparableBecause, type Measured } from "./protocols/compare-protocols.js";
export {
  GENERATION_METRICS,
  type GenerationMetric,
  METRICS,
  type Metric,
  type MetricInfo,
  type MetricNetwork,
  RECONSTRUCTION_METRICS,
  type ReconstructionMetric,
} from "./protocols/metrics.js";
export {
  describeProtocol,
  PROTOCOLS,
  type Protocol,
  type ProtocolChoice,
  type ProtocolName,
  resolveProtocol,
} from "./protocols/protocol.js";
export { formatComparison, formatResult, formatSeconds } from "./report/format-result.js";
export { type ReportPictures, renderReport, writeReport } from "./report/render-report.js";
export {
  type ComparedMetric,
  type ComparedValue,
  compareResults,
  measuredOf,
  type PairedDifference,
} from "./results/compare-results.js";
export {
  type EvaluationResult,
  type Machine,
  type MetricValue,
  type PerPicture,
  thisMachine,
} from "./results/evaluation-result.js";
export { readResult, stringifyResult, writeResult } from "./results/result-file.node.js";
export { NoPicturesError, type Unusable } from "./runners/check-pictures.js";
export { evaluateGeneration, type GenerationOptions } from "./runners/evaluate-generation.node.js";
export { evaluateReconstruction, type ReconstructionOptions } from "./runners/evaluate-reconstruction.node.js";
export {
  type ComputedStatistics,
  computeStatistics,
  type StatisticsOptions,
} from "./runners/extract-features.node.js";
export type { MissingMetric, UsedNetwork } from "./runners/open-networks.node.js";
export { openReference, type Reference } from "./runners/open-reference.node.js";
export { chooseExamples, type Example, type ExampleOptions, makeExamples } from "./runners/pick-examples.js";
export type { Progress, RunOptions } from "./runners/progress.js";
export { autoencoderReconstructor, type Reconstruction, type Reconstructor } from "./runners/reconstructor.js";
export { removeWorkFolder, WorkFolderError } from "./runners/work-folder.node.js";
export { type FolderOptions, folderSource } from "./sources/folder-source.node.js";
export { npzSource, writePictures } from "./sources/npz-source.node.js";
export type { Picture, PictureSource, Shard } from "./sources/picture-source.js";
export { type GeneratedOptions, generatedSource, memorySource } from "./sources/picture-source.js";
export type { FeatureStatistics } from "./statistics/feature-accumulator.js";
export {
  createFeatureAccumulator,
  type FeatureAccumulator,
  type FeatureSums,
} from "./statistics/feature-accumulator.js";
export {
  type MergedStatistics,
  mergeStatistics,
  readStatistics,
  type StatisticsFile,
  type StatisticsInfo,
  writeStatistics,
} from "./statistics/statistics-file.node.js";

/** Evaluation of autoencoders and generators: what is judged, by which protocol, with which result; and throughput. */

export type { BenchOptions } from "./bench/bench-autoencoder.node.js";
export { benchAutoencoder } from "./bench/bench-autoencoder.node.js";
export type { BenchResult } from "./bench/bench-result.js";
export { formatBench } from "./bench/format-bench.js";
export { cmmd } from "./metrics/cmmd.js";
export { frechetDistance } from "./metrics/frechet-distance.js";
export { inceptionScore } from "./metrics/inception-score.js";
export { neighborAccuracy, precisionRecall } from "./metrics/nearest-neighbors.js";
export { ssim } from "./metrics/ssim.js";
export { type FindNetworkOptions, inspectNetworks, MissingWeightsError } from "./networks/find-network.node.js";
export { METRICS, type Metric } from "./protocols/metrics.js";
export {
  describeProtocol,
  PROTOCOLS,
  type Protocol,
  type ProtocolChoice,
  resolveProtocol,
} from "./protocols/protocol.js";
export { formatComparison, formatResult } from "./report/format-result.js";
export { writeReport } from "./report/render-report.js";
export { type ComparedMetric, checkComparable, compareResults } from "./results/compare-results.js";
export type { EvaluationResult } from "./results/evaluation-result.node.js";
export { readResult, writeResult } from "./results/evaluation-result.node.js";
export type { Progress } from "./runners/chunked-run.node.js";
export { WorkFolderError } from "./runners/chunked-run.node.js";
export { evaluateGeneration, type GenerationOptions } from "./runners/evaluate-generation.node.js";
export {
  autoencoderReconstructor,
  evaluateReconstruction,
  type ReconstructionOptions,
  type Reconstructor,
} from "./runners/evaluate-reconstruction.node.js";
export { type ComputedStatistics, computeStatistics, type StatisticsOptions } from "./runners/extract-features.node.js";
export { openReference, type Reference } from "./runners/open-reference.node.js";
export { makeExamples } from "./runners/pick-examples.js";
export {
  type CollectedPictures,
  openSetMetrics,
  parseSetMetric,
  type SetMetric,
  type SetMetrics,
  type SetMetricsOptions,
} from "./runners/set-metrics.node.js";
export { folderSource } from "./sources/folder-source.node.js";
export { npzSource } from "./sources/npz-source.node.js";
export {
  generatedSource,
  memorySource,
  NoPicturesError,
  type PictureSource,
  type Shard,
} from "./sources/picture-source.js";
export type { FeatureStatistics } from "./statistics/feature-accumulator.js";
export { type MergedStatistics, mergeStatistics, readStatistics } from "./statistics/statistics-file.node.js";

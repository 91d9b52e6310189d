/** Evaluation of autoencoders and generators: what is judged, by which protocol, with which result; and throughput. */
export { benchAutoencoder } from "./bench/bench-autoencoder.node.js";
export type { BenchOptions } from "./bench/bench-cases.js";
export type { BenchResult } from "./bench/bench-result.js";
export { formatBench } from "./bench/format-bench.js";
export { cmmd } from "./metrics/cmmd.js";
export { frechetDistance } from "./metrics/frechet-distance.js";
export { inceptionScore } from "./metrics/inception-score.js";
export { precisionRecall } from "./metrics/precision-recall.js";
export { ssim } from "./metrics/ssim.js";
export { type FindNetworkOptions, inspectNetworks, MissingWeightsError } from "./networks/find-network.node.js";
export { checkComparable } from "./protocols/compare-protocols.js";
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
export { type ComparedMetric, compareResults } from "./results/compare-results.js";
export type { EvaluationResult } from "./results/evaluation-result.js";
export { readResult, writeResult } from "./results/result-file.node.js";
export { NoPicturesError } from "./runners/check-pictures.js";
export { evaluateGeneration, type GenerationOptions } from "./runners/evaluate-generation.node.js";
export { evaluateReconstruction, type ReconstructionOptions } from "./runners/evaluate-reconstruction.node.js";
export { type ComputedStatistics, computeStatistics, type StatisticsOptions } from "./runners/extract-features.node.js";
export { openReference, type Reference } from "./runners/open-reference.node.js";
export { makeExamples } from "./runners/pick-examples.js";
export type { Progress } from "./runners/progress.js";
export { autoencoderReconstructor, type Reconstructor } from "./runners/reconstructor.js";
export { WorkFolderError } from "./runners/work-folder.node.js";
export { folderSource } from "./sources/folder-source.node.js";
export { npzSource } from "./sources/npz-source.node.js";
export { generatedSource, memorySource, type PictureSource, type Shard } from "./sources/picture-source.js";
export type { FeatureStatistics } from "./statistics/feature-accumulator.js";
export { type MergedStatistics, mergeStatistics, readStatistics } from "./statistics/statistics-file.node.js";

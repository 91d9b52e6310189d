/**
 * What the command line and the benchmarks share with this package. Unstable: it changes with any release, without notice. Programs
 * take `@dcae/eval`.
 */
export type { BenchPart } from "../bench/bench-result.js";
export { writeNpz } from "../files/npz.node.js";
export { ssimProgram } from "../metrics/ssim.js";
export { type InspectedFile, metricsFolder, searchFolders } from "../networks/find-network.node.js";
export { inceptionProgram } from "../networks/inception.js";
export {
  GENERATION_METRICS,
  type GenerationMetric,
  RECONSTRUCTION_METRICS,
  type ReconstructionMetric,
} from "../protocols/metrics.js";
export type { ProtocolName } from "../protocols/protocol.js";
export { GUIDANCE_GRID, type GuidanceSearch, searchGuidance } from "../protocols/search-guidance.js";
export { formatSeconds } from "../report/format-result.js";
export type { ReportPictures } from "../report/render-report.js";
export { type Machine, stringifyResult, thisMachine } from "../results/evaluation-result.node.js";
export { MissingPartsError, removeWorkFolder } from "../runners/chunked-run.node.js";
export { lpipsProgram } from "../runners/pair-metrics.js";
export { createFeatureAccumulator } from "../statistics/feature-accumulator.js";
export { missingShards } from "../statistics/statistics-file.node.js";

/** The network behind a metric under a protocol. */
import { GENERATION_METRICS, type GenerationMetric, type Metric, type MetricNetwork } from "../protocols/metrics.js";
import type { Protocol } from "../protocols/protocol.js";
import { FEATURE_OF, networkOf } from "./feature-plan.js";

function isOfGeneration(metric: Metric): metric is GenerationMetric {
  return (GENERATION_METRICS as readonly Metric[]).includes(metric);
}

/** Undefined for metrics that need none. */
export function networkOfMetric(
  metric: Metric,
  { lpipsTrunk }: Pick<Protocol, "lpipsTrunk">,
): MetricNetwork | undefined {
  if (isOfGeneration(metric)) return networkOf(FEATURE_OF[metric]);
  if (metric === "lpips") return lpipsTrunk === "vgg" ? "lpips-vgg" : "lpips-alex";
  return metric === "rfid" ? "inception" : undefined;
}

/**
 * How good generated pictures are: FID, sFID and inception score, precision and recall, CMMD (evaluation.md sections 1 to 7).
 */
import { plural } from "@dcae/core/internal";
import { createEngine, type Engine } from "@dcae/core/runtime";
import { cmmd } from "../metrics/cmmd.js";
import { type FrechetResult, frechetDistance } from "../metrics/frechet-distance.js";
import { inceptionScore } from "../metrics/inception-score.js";
import { precisionRecall } from "../metrics/nearest-neighbors.js";
import {
  type FindNetworkOptions,
  fingerprintsOf,
  type MissingMetric,
  openNetworks,
} from "../networks/find-network.node.js";
import { checkMetrics, GENERATION_METRICS, type GenerationMetric, METRICS, type Metric } from "../protocols/metrics.js";
import type { Protocol } from "../protocols/protocol.js";
import { type EvaluationResult, type MetricValue, thisMachine } from "../results/evaluation-result.node.js";
import { nothingUsable, type PictureSource, pictureWarnings, sizeWarnings } from "../sources/picture-source.js";
import type { FeatureStatistics } from "../statistics/feature-accumulator.js";
import { checkAborted, type RunOptions } from "./chunked-run.node.js";
import { type ExtractedFeatures, extractFeatures } from "./extract-features.node.js";
import { createFeatureStore, FEATURE_OF, type Feature, networkOf } from "./feature-plan.js";
import { planReference, type Reference, type ReferencePlan } from "./open-reference.node.js";

/** Options of `evaluateGeneration`. */
export interface GenerationOptions extends RunOptions {
  readonly samples: PictureSource;
  /** Needed by every metric but the inception score (see `openReference`). */
  readonly reference?: Reference | undefined;
  readonly protocol: Protocol;
  /** Default: all of them. */
  readonly metrics?: readonly string[] | undefined;
  readonly engine: Engine;
  readonly weights?: FindNetworkOptions | undefined;
  readonly batchSize?: number | undefined;
  /** What the samples are called in results; their source by default. */
  readonly subject?: string | undefined;
  /** How they were made, for results. */
  readonly settings?: EvaluationResult["settings"] | undefined;
}

/**
 * Runs the evaluation. Metrics whose network or reference isn't here are named in `missing`; the others are computed.
 *
 * @throws DataError when no picture can be read; ConfigError for unknown metrics or a foreign work folder; MissingPartsError where other parts lack; ShapeError for
 *   a reference with other dimensions; errors of the engine
 */
export async function evaluateGeneration(options: GenerationOptions): Promise<EvaluationResult> {
  const started = performance.now();
  const { samples, reference, protocol, engine, workFolder } = options;
  const wanted = checkMetrics(options.metrics ?? GENERATION_METRICS, GENERATION_METRICS);
  const needed = new Map(wanted.map((metric) => [metric, networkOf(FEATURE_OF[metric])]));
  const networks = await openNetworks(needed, options.weights ?? {});
  try {
    const present = wanted.filter((metric) => !networks.missing.some((entry) => entry.metric === metric));
    const plan = planReference(present, reference, protocol, fingerprintsOf(networks.used, "inception"));
    const { metrics: computed } = plan;
    const featuresOf = (list: readonly GenerationMetric[]) => new Set(list.map((metric) => FEATURE_OF[metric]));
    const isDistance = (metric: GenerationMetric) => metric === "fid" || metric === "sfid";
    const extract = async (
      source: PictureSource,
      stage: string,
      folder: string,
      used: readonly GenerationMetric[],
      partOnly = false,
    ) => {
      const pass = {
        ...options,
        stage,
        source,
        networks,
        partOnly,
        workFolder: workFolder && `${workFolder}/${folder}`,
      };
      const sums = featuresOf(used.filter(isDistance));
      // Nothing to compute: the pictures aren't even read.
      if (used.length === 0) return emptyFeatures();
      const extracted = await extractFeatures({
        ...pass,
        sums,
        vectors: featuresOf(used.filter((metric) => !isDistance(metric))),
      });
      if (extracted.count === 0 && !partOnly) throw nothingUsable(source, extracted.unusable);
      return extracted;
    };
    const pictures = reference?.pictures;
    const ofReference = computed.filter((metric) => METRICS[metric].reference !== null && !plan.statistics.has(metric));
    if (options.part !== undefined) {
      // Its part of both sets, before any is looked for: else two that end together would each miss something of the other.
      await extract(samples, "samples", "samples", computed, true);
      if (pictures !== undefined) await extract(pictures, "reference", "reference", ofReference, true);
    }
    const ofSamples = await extract(samples, "samples", "samples", computed);
    const compared =
      pictures === undefined || ofReference.length === 0
        ? undefined
        : await extract(pictures, "reference", "reference", ofReference);
    const missing = [...networks.missing, ...plan.missing];
    const warnings = [
      ...networks.warnings,
      ...plan.warnings,
      ...pictureWarnings(samples, ofSamples.unusable, ofSamples.sizes),
      ...(pictures && compared ? pictureWarnings(pictures, compared.unusable, compared.sizes) : []),
      ...sizeWarnings(ofSamples.sizes, compared?.sizes ?? reference?.statistics?.info?.sizes),
    ];
    const metrics = await computeMetrics(options, plan, ofSamples, compared, missing, warnings);
    return {
      formatVersion: 1,
      kind: "generation",
      date: new Date().toISOString(),
      subject: options.subject ?? samples.name,
      subjectFingerprint: samples.fingerprint,
      ...(options.settings && { settings: options.settings }),
      pictures: {
        source: samples.name,
        fingerprint: samples.fingerprint,
        count: ofSamples.count,
        sizes: ofSamples.sizes,
        unusable: ofSamples.unusable,
      },
      ...(reference && {
        reference: {
          name: reference.name,
          fingerprint: reference.fingerprint,
          unusable: compared?.unusable.length ?? 0,
        },
      }),
      protocol,
      metrics,
      missing,
      warnings: [...new Set(warnings)],
      networks: networks.used,
      engine: engine.name,
      machine: thisMachine(),
      seconds: (performance.now() - started) / 1000,
    };
  } finally {
    await networks.close();
  }
}

function emptyFeatures(): ExtractedFeatures {
  const store = createFeatureStore({ sums: new Set(), vectors: new Set(), capacity: 0 });
  return { count: 0, unusable: [], sizes: {}, store };
}

async function computeMetrics(
  options: GenerationOptions,
  { metrics: wanted, statistics }: ReferencePlan,
  samples: ExtractedFeatures,
  reference: ExtractedFeatures | undefined,
  missing: MissingMetric[],
  warnings: string[],
): Promise<Partial<Record<Metric, MetricValue>>> {
  const { protocol, engine, onProgress } = options;
  const metrics: Partial<Record<Metric, MetricValue>> = {};
  const { count } = samples;
  const share = (stage: string) => (done: number) => onProgress?.({ stage, done, total: 1, unit: "share" });
  const vectors = (set: ExtractedFeatures | undefined, feature: Feature) => set?.store.vectors(feature);

  for (const metric of wanted.filter((name) => name === "fid" || name === "sfid")) {
    checkAborted(options.signal);
    const feature = FEATURE_OF[metric];
    const known = statistics.get(metric);
    const sums = known === undefined ? reference?.store.sums(feature) : undefined;
    if (count < 2 || (known === undefined && (sums?.count ?? 0) < 2)) {
      missing.push({ metric, reason: "a distance of sets needs at least 2 pictures on each side" });
      continue;
    }
    share(metric)(0);
    const other = known ?? (sums as NonNullable<typeof sums>).statistics("the reference set");
    const own = samples.store.sums(feature)?.statistics("the sample set") as FeatureStatistics;
    const result: FrechetResult = frechetDistance(other, own);
    metrics[metric] = { value: result.distance, count };
    warnings.push(...result.warnings.map((text) => (metric === "sfid" ? `sFID: ${text}` : text)));
    share(metric)(1);
  }

  const logits = vectors(samples, "logits");
  if (wanted.includes("is") && logits !== undefined) {
    const { scoreSplits: splits, scoreSeed: seed } = protocol;
    if (typeof splits === "number" && count < splits) {
      missing.push({
        metric: "is",
        reason: `${plural(count, "picture")} can't be cut into the ${plural(splits, "part")} of the protocol`,
      });
    } else {
      const score = inceptionScore(logits.data, logits.dimensions, { splits, seed });
      metrics.is = { value: score.mean, std: score.std, count };
    }
  }

  const [pool, poolOfReference] = [vectors(samples, "pool"), vectors(reference, "pool")];
  const manifold = wanted.filter((metric) => metric === "precision" || metric === "recall");
  if (manifold.length > 0 && pool !== undefined && poolOfReference !== undefined) {
    checkAborted(options.signal);
    const { neighbors: k } = protocol;
    const fewest = Math.min(count, reference?.count ?? 0);
    if (fewest <= k) {
      const reason = `among ${plural(fewest, "picture")} none has ${plural(k, "neighbor")}`;
      missing.push(...manifold.map((metric) => ({ metric, reason })));
    } else {
      const onShare = share("precision and recall");
      const values = await precisionRecall(poolOfReference, pool, { engine, k, onProgress: onShare });
      for (const metric of manifold) metrics[metric] = { value: values[metric], count };
    }
  }

  const [clip, clipOfReference] = [vectors(samples, "clip"), vectors(reference, "clip")];
  if (wanted.includes("cmmd") && clip !== undefined && clipOfReference !== undefined) {
    checkAborted(options.signal);
    const result = await inFloat64(engine, (exact) =>
      cmmd(clip, clipOfReference, { engine: exact, onProgress: share("CMMD") }),
    );
    const cut = result.count < Math.max(count, reference?.count ?? 0);
    const note = `the first ${plural(result.count, "picture")} of each set`;
    metrics.cmmd = { value: result.value, count: result.count, ...(cut ? { note } : {}) };
  }
  return metrics;
}

/** Runs `task` on an engine that computes in float64: the given one if it is a CPU, else one of its own. */
async function inFloat64<T>(engine: Engine, task: (engine: Engine) => Promise<T>): Promise<T> {
  if (engine.device === "cpu") return task(engine);
  const exact = await createEngine({ device: "cpu", optimize: false });
  try {
    return await task(exact);
  } finally {
    await exact.dispose();
  }
}

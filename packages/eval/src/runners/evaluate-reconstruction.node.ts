/**
 * How well an autoencoder gives pictures back: PSNR, SSIM, LPIPS per picture, rFID between the two sets (evaluation.md
 * section 1). Both sides are rounded to 8 bits before any metric sees them.
 */
import { type Image, Tensor } from "@dcae/core";
import type { Engine } from "@dcae/core/runtime";
import { frechetDistance } from "../metrics/frechet-distance.js";
import type { FindNetworkOptions } from "../networks/find-network.node.js";
import { checkMetrics, type Metric, type MetricNetwork, RECONSTRUCTION_METRICS } from "../protocols/metrics.js";
import type { Protocol } from "../protocols/protocol.js";
import { type EvaluationResult, type MetricValue, type PerPicture, thisMachine } from "../results/evaluation-result.js";
import type { PictureSource } from "../sources/picture-source.js";
import { type Batch, evenBatch } from "./batches.js";
import { nothingRead, pictureWarnings, type Unreadable } from "./check-pictures.js";
import { DEFAULT_CHUNK, runInChunks } from "./chunked-run.js";
import { computeFeatures, planFeatures } from "./feature-plan.js";
import { createFeatureStore } from "./feature-store.js";
import { latentMoments, totalMoments } from "./latent-moments.js";
import { fingerprintsOf, type MissingMetric, openNetworks } from "./open-networks.node.js";
import { computePairMetrics } from "./pair-metrics.js";
import { createProgramPool } from "./program-pool.js";
import type { RunOptions } from "./progress.js";
import { reconstructBatch } from "./reconstruct-batch.js";
import type { Reconstructor } from "./reconstructor.js";
import { summarize } from "./summarize.js";

export interface ReconstructionOptions extends RunOptions {
  readonly source: PictureSource;
  readonly model: Reconstructor;
  readonly protocol: Protocol;
  /** Default: all of them. */
  readonly metrics?: readonly string[] | undefined;
  /** For the metric networks. The model brings its own. */
  readonly engine: Engine;
  readonly weights?: FindNetworkOptions | undefined;
  /** Pictures per batch; by default 8 of 256x256, fewer of larger ones. */
  readonly batchSize?: number | undefined;
}

const REFERENCE = "pool.reference";
const RECONSTRUCTED = "pool.reconstruction";

/** evaluation.md section 1: max(base * 256^2 / (h * w), 1); small pictures don't gain from larger batches. */
function defaultBatch(width: number, height: number): number {
  return Math.min(Math.max(Math.floor((8 * 256 * 256) / (width * height)), 1), 16);
}

/**
 * Runs the evaluation. Metrics whose network isn't here are named in `missing`; the others are computed.
 *
 * @throws DataError when no picture can be read; ConfigError for unknown metrics or a foreign work folder; errors of the
 *   model and of the engine
 */
export async function evaluateReconstruction(options: ReconstructionOptions): Promise<EvaluationResult> {
  const started = performance.now();
  const { source, model, protocol, engine, batchSize } = options;
  const wanted = checkMetrics(options.metrics ?? RECONSTRUCTION_METRICS, RECONSTRUCTION_METRICS);
  const lpipsNetwork: MetricNetwork = protocol.lpipsTrunk === "vgg" ? "lpips-vgg" : "lpips-alex";
  const needed = new Map<Metric, MetricNetwork>();
  if (wanted.includes("lpips")) needed.set("lpips", lpipsNetwork);
  if (wanted.includes("rfid")) needed.set("rfid", "inception");
  const networks = await openNetworks(needed, options.weights ?? {});
  const pool = createProgramPool(engine);
  try {
    const inception = networks.weights.get("inception");
    const lpips = networks.weights.get(lpipsNetwork);
    const pairMetrics = { psnr: wanted.includes("psnr"), ssim: wanted.includes("ssim"), lpips };
    const passes = inception === undefined ? [] : planFeatures(["pool"], protocol);
    const most = Math.min(source.count, options.chunkSize ?? DEFAULT_CHUNK);
    const sizeOf = (width: number, height: number) => evenBatch(most, batchSize ?? defaultBatch(width, height));

    const compute = async ({ pictures, width, height }: Batch): Promise<Record<string, Tensor>> => {
      const size = sizeOf(width, height);
      const originals = pictures.map(({ image }) => image);
      const { images, latent } = await reconstructBatch(model, originals, size, protocol);
      const rows = await computePairMetrics(originals, images, pairMetrics, protocol, size, pool);
      rows.index = new Tensor(
        "float64",
        Float64Array.from(pictures, ({ index }) => index),
        [pictures.length],
      );
      if (latent !== undefined) rows.latent = latentMoments(latent.slice([{ stop: originals.length }]));
      if (passes.length > 0) {
        const features = (set: readonly Image[]) => computeFeatures(passes, set, size, pool, networks.weights);
        rows[REFERENCE] = (await features(originals)).pool as Tensor;
        rows[RECONSTRUCTED] = (await features(images)).pool as Tensor;
      }
      return rows;
    };

    const collected = await collect(options, wanted, networks, sizeOf, compute);
    const { names, columns, sizes, unreadable, store, latent } = collected;
    if (names.length === 0) throw nothingRead(source, unreadable);
    const { index: indices = [], ...values } = Object.fromEntries(columns);
    const missing: MissingMetric[] = [...networks.missing];
    const warnings = [...networks.warnings, ...pictureWarnings(source, unreadable, sizes)];
    const metrics: Partial<Record<Metric, MetricValue>> = {};
    for (const metric of wanted) {
      const list = columns.get(metric);
      if (list !== undefined) metrics[metric] = summarize(list);
    }
    const [before, after] = [store.sums(REFERENCE), store.sums(RECONSTRUCTED)];
    if (before !== undefined && after !== undefined) {
      if (before.count < 2) missing.push({ metric: "rfid", reason: "a distance of sets needs at least 2 pictures" });
      else {
        options.onProgress?.({ stage: "rFID", done: 0, total: 1, unit: "share" });
        const result = frechetDistance(
          before.statistics("the original set"),
          after.statistics("the reconstructed set"),
        );
        metrics.rfid = { value: result.distance, count: before.count };
        warnings.push(...result.warnings);
        options.onProgress?.({ stage: "rFID", done: 1, total: 1, unit: "share" });
      }
    }
    return {
      formatVersion: 1,
      kind: "reconstruction",
      date: new Date().toISOString(),
      subject: model.name,
      pictures: { source: source.name, count: names.length, sizes, unreadable },
      protocol,
      metrics,
      missing,
      warnings,
      networks: networks.used,
      ...(latent === undefined ? {} : { latent }),
      perPicture: { names, indices, values: values as PerPicture["values"] },
      engine: engine.name === model.engine ? engine.name : `model: ${model.engine}, metrics: ${engine.name}`,
      machine: thisMachine(),
      seconds: (performance.now() - started) / 1000,
    };
  } finally {
    await pool.dispose();
    await networks.close();
  }
}

async function collect(
  options: ReconstructionOptions,
  wanted: readonly Metric[],
  networks: Awaited<ReturnType<typeof openNetworks>>,
  batchSize: (width: number, height: number) => number,
  compute: (batch: Batch) => Promise<Record<string, Tensor>>,
) {
  const { source, model, protocol } = options;
  const names: string[] = [];
  const unreadable: Unreadable[] = [];
  const sizes: Record<string, number> = {};
  const columns = new Map<string, number[]>();
  const latents: Tensor[] = [];
  const kinds = new Set([REFERENCE, RECONSTRUCTED]);
  const store = createFeatureStore({ sums: kinds, vectors: new Set(), capacity: source.count });
  await runInChunks({
    ...options,
    stage: "reconstruct",
    key: {
      kind: "reconstruction",
      model: model.name,
      weights: model.fingerprint,
      // Splits are words; everything else in the protocol changes pixels.
      protocol: { ...protocol, split: undefined },
      metrics: wanted.filter((metric) => !networks.missing.some((entry) => entry.metric === metric)),
      networks: networks.used.map(({ network }) => [network, ...fingerprintsOf(networks.used, network)]),
    },
    batchSize,
    compute,
    consume(chunk) {
      names.push(...chunk.names);
      unreadable.push(...chunk.unreadable);
      for (const [size, count] of Object.entries(chunk.sizes)) sizes[size] = (sizes[size] ?? 0) + count;
      for (const [name, tensor] of Object.entries(chunk.tensors)) {
        if (kinds.has(name)) store.add(name, tensor);
        else if (name === "latent") latents.push(tensor);
        else {
          const column = columns.get(name) ?? [];
          columns.set(name, column);
          for (const value of tensor.cast("float64").data as Float64Array) column.push(value);
        }
      }
    },
  });
  return { names, columns, sizes, unreadable, store, latent: totalMoments(latents) };
}

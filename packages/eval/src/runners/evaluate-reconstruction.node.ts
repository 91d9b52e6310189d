/**
 * How well an autoencoder gives pictures back: PSNR, SSIM, LPIPS per picture, rFID between the two sets (evaluation.md
 * section 1). Both sides are rounded to 8 bits before any metric sees them.
 */
import { DataError, type Image, imagesToTensor, Tensor, tensorToImages } from "@dcae/core";
import { weightsFingerprint } from "@dcae/core/checkpoint";
import { type Autoencoder, createProgramCache, type Moments, momentsOf, plural, valueSums } from "@dcae/core/internal";
import { closeAll, type Engine } from "@dcae/core/runtime";
import { frechetDistance } from "../metrics/frechet-distance.js";
import {
  type FindNetworkOptions,
  fingerprintsOf,
  type MissingMetric,
  type OpenedNetworks,
  openNetworks,
} from "../networks/find-network.node.js";
import { checkMetrics, type Metric, type MetricNetwork, RECONSTRUCTION_METRICS } from "../protocols/metrics.js";
import type { Protocol } from "../protocols/protocol.js";
import {
  type EvaluationResult,
  type MetricValue,
  type PerPicture,
  thisMachine,
} from "../results/evaluation-result.node.js";
import { nothingUsable, type PictureSource, pictureWarnings, type Unusable } from "../sources/picture-source.js";
import { type Batch, type ChunkedRun, evenBatch, type RunOptions, runInChunks } from "./chunked-run.node.js";
import { computeFeatures, createFeatureStore, MAX_PROGRAMS, networkOfMetric, planFeatures } from "./feature-plan.js";
import { computePairMetrics, tooSmall } from "./pair-metrics.js";

/** Options of `evaluateReconstruction`. */
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

/** A model may take seconds per picture, and a run that is stopped shouldn't lose many of them. */
const RECONSTRUCTION_CHUNK = 16;

/** evaluation.md section 1: max(base * 256^2 / (h * w), 1); small pictures don't gain from larger batches. */
function defaultBatch(width: number, height: number): number {
  return Math.min(Math.max(Math.floor((8 * 256 * 256) / (width * height)), 1), 16);
}

/**
 * Runs the evaluation. Metrics whose network isn't here are named in `missing`; the others are computed.
 *
 * @throws DataError when no metric can be computed or no picture be used; ConfigError for unknown metrics or a foreign work folder;
 *   MissingPartsError where other parts lack; errors of the model and of the engine
 * @example
 * ```ts
 * import { createEngine, loadAutoencoder } from "@dcae/core";
 * import { autoencoderReconstructor, evaluateReconstruction, folderSource, formatResult, resolveProtocol } from "@dcae/eval";
 *
 * const protocol = resolveProtocol({ size: 64 });
 * const source = await folderSource("photos", { protocol });
 * const autoencoder = await loadAutoencoder("small-f32");
 * const model = await autoencoderReconstructor(autoencoder);
 * const engine = await createEngine({ device: "cpu" });
 * const result = await evaluateReconstruction({ source, model, protocol, engine, metrics: ["psnr", "ssim"] });
 * console.log(formatResult(result));
 * await Promise.all([autoencoder.dispose(), engine.dispose()]);
 * ```
 */
export async function evaluateReconstruction(options: ReconstructionOptions): Promise<EvaluationResult> {
  const started = performance.now();
  const { source, model, protocol, engine, batchSize } = options;
  const wanted = checkMetrics(options.metrics ?? RECONSTRUCTION_METRICS, RECONSTRUCTION_METRICS);
  const needed = new Map<Metric, MetricNetwork>();
  for (const metric of wanted) {
    const network = networkOfMetric(metric, protocol);
    if (network !== undefined) needed.set(metric, network);
  }
  const networks = await openNetworks(needed, options.weights ?? {});
  const pool = createProgramCache(engine, "the metrics", MAX_PROGRAMS);
  try {
    // Nothing would come of hours of work.
    if (wanted.every((metric) => networks.missing.some((entry) => entry.metric === metric))) {
      const [{ reason, ...hint }] = networks.missing as [MissingMetric];
      throw new DataError(`none of the metrics can be computed: ${reason}`, hint);
    }
    const inception = networks.weights.get("inception");
    const lpips = networks.weights.get(networkOfMetric("lpips", protocol) as MetricNetwork);
    const pairMetrics = { psnr: wanted.includes("psnr"), ssim: wanted.includes("ssim"), lpips };
    const passes = inception === undefined ? [] : planFeatures(["pool"], protocol);
    const chunkSize = options.chunkSize ?? RECONSTRUCTION_CHUNK;
    const most = Math.min(source.count, chunkSize);
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

    const refuse = (width: number, height: number) => {
      const { multiple = 1 } = model;
      if (width % multiple === 0 && height % multiple === 0) return tooSmall(width, height, pairMetrics, protocol);
      return `${width}x${height} pixels aren't multiples of ${multiple}, the model's compression; give all pictures one size`;
    };
    const pass = { ...options, chunkSize, batchSize: sizeOf, refuse, compute };
    const collected = await collect(pass, wanted, networks);
    const { names, columns, sizes, unusable, store, latent } = collected;
    if (names.length === 0) throw nothingUsable(source, unusable);
    const { index: indices = [], ...values } = Object.fromEntries(columns);
    const missing: MissingMetric[] = [...networks.missing];
    const warnings = [...networks.warnings, ...pictureWarnings(source, unusable, sizes)];
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
      subjectFingerprint: model.fingerprint,
      pictures: { source: source.name, fingerprint: source.fingerprint, count: names.length, sizes, unusable },
      protocol,
      metrics,
      missing,
      warnings,
      networks: networks.used,
      ...(latent === undefined ? {} : { latent }),
      perPicture: { names, indices, values: values as PerPicture["values"] },
      engine: model.engine.startsWith(engine.name) ? model.engine : `${model.engine} (metrics: ${engine.name})`,
      machine: thisMachine(),
      seconds: (performance.now() - started) / 1000,
    };
  } finally {
    await closeAll([() => pool.dispose(), () => networks.close()]);
  }
}

async function collect(
  pass: Omit<ReconstructionOptions, "batchSize"> & Pick<ChunkedRun, "batchSize" | "refuse" | "compute">,
  wanted: readonly Metric[],
  networks: OpenedNetworks,
) {
  const { source, model, protocol } = pass;
  const names: string[] = [];
  const unusable: Unusable[] = [];
  const sizes: Record<string, number> = {};
  const columns = new Map<string, number[]>();
  const latents: Tensor[] = [];
  const kinds = new Set([REFERENCE, RECONSTRUCTED]);
  const store = createFeatureStore({ sums: kinds, vectors: new Set(), capacity: source.count });
  await runInChunks({
    ...pass,
    stage: "reconstruct",
    key: {
      kind: "reconstruction",
      model: model.name,
      weights: model.fingerprint,
      engine: model.engine,
      // Splits are words; everything else in the protocol changes pixels.
      protocol: { ...protocol, split: undefined },
      metrics: wanted.filter((metric) => !networks.missing.some((entry) => entry.metric === metric)),
      networks: networks.used.map(({ network }) => [network, ...fingerprintsOf(networks.used, network)]),
    },
    consume(chunk) {
      names.push(...chunk.names);
      unusable.push(...chunk.unusable);
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
  return { names, columns, sizes, unusable, store, latent: totalMoments(latents) };
}

/**
 * Mean and population standard deviation. Where pictures come back identical their PSNR is infinite and so is the mean, as
 * in the reference; the note then gives the mean of the others.
 */
export function summarize(values: readonly number[]): MetricValue {
  const finite = values.filter(Number.isFinite);
  const mean = finite.reduce((sum, value) => sum + value, 0) / finite.length;
  const std = Math.sqrt(finite.reduce((sum, value) => sum + (value - mean) ** 2, 0) / finite.length);
  if (values.length === 1 && finite.length === 1) return { value: mean, count: 1 };
  if (finite.length === values.length) return { value: mean, std, count: values.length };
  const others = finite.length === 0 ? "" : `; the mean of the other ${finite.length} is ${mean.toFixed(4)}`;
  return {
    value: Number.POSITIVE_INFINITY,
    count: values.length,
    note: `${values.length - finite.length} of ${plural(values.length, "picture")} came back identical${others}`,
  };
}

/** Sum, sum of squares and number of values of each latent [N, ...], as float64 [N, 3]. */
function latentMoments(latents: Tensor): Tensor<"float64"> {
  const count = latents.shape[0] as number;
  const values = latents.toFloat32();
  const size = values.length / count;
  const rows = Array.from({ length: count }, (_, n) => valueSums(values, n * size, (n + 1) * size));
  const out = Float64Array.from(rows.flatMap(({ sum, squares, count: n }) => [sum, squares, n]));
  return new Tensor("float64", out, [count, 3]);
}

/** The moments of all pictures; undefined for none. */
function totalMoments(parts: readonly Tensor[]): (Moments & { readonly count: number }) | undefined {
  let [sum, squares, count] = [0, 0, 0];
  for (const part of parts) {
    const data = part.cast("float64").data as Float64Array;
    for (let i = 0; i < data.length; i += 3) {
      sum += data[i] as number;
      squares += data[i + 1] as number;
      count += data[i + 2] as number;
    }
  }
  return count < 2 ? undefined : { ...momentsOf({ sum, squares, count }), count };
}

// The model side of a reconstruction run: anything that gives pictures back.

export interface Reconstruction {
  /** [N, 3, H, W], nominally in [-1, 1]. */
  readonly pictures: Tensor;
  /** The latents on the way, for their moments. */
  readonly latent?: Tensor;
}

/** Anything that gives pictures back: what `evaluateReconstruction` judges. */
export interface Reconstructor {
  readonly name: string;
  /** Changes with the weights; decides whether a stopped run may go on, and says in results what was judged. */
  readonly fingerprint: string;
  /** For results, as in "onnxruntime-node cpu". It names all that changes the last digits: a run goes on only with the same. */
  readonly engine: string;
  /** What sides of pictures must be multiples of (default 1). */
  readonly multiple?: number;
  /** Pictures [N, 3, H, W] in [-1, 1] and back. */
  reconstruct(pictures: Tensor): Promise<Reconstruction>;
}

/**
 * An autoencoder as a reconstructor: deterministic, Gaussians by their mean. The model stays the caller's.
 */
export async function autoencoderReconstructor(model: Autoencoder): Promise<Reconstructor> {
  return {
    name: model.name,
    fingerprint: await weightsFingerprint(model.weights),
    engine: model.engine.name,
    multiple: model.compression,
    async reconstruct(pictures) {
      const latent = await model.encodeLatent(pictures);
      return { pictures: await model.decode(latent), latent };
    },
  };
}

/** Reconstructions as 8-bit pictures. The batch is filled up to `size`, so that the model needs one program. */
export async function reconstructBatch(
  model: Reconstructor,
  originals: readonly Image[],
  size: number,
  protocol: Pick<Protocol, "rounding">,
): Promise<{ readonly images: Image[]; readonly latent: Tensor | undefined }> {
  const filled = Array.from({ length: size }, (_, i) => originals[Math.min(i, originals.length - 1)] as Image);
  const { pictures, latent } = await model.reconstruct(imagesToTensor(filled));
  const used = pictures.slice([{ stop: originals.length }]);
  return { images: tensorToImages(used, { rounding: protocol.rounding }), latent };
}

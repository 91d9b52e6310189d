/**
 * Distances of sets of pictures while a model trains: collected picture by picture, compared at each evaluation.
 *
 * `rfid` and `fid` are distances in the features of the FID network, to the originals and to a reference. `rfd:NETWORK` and
 * `fd:NETWORK` are the same in the features of another network: CLIP, a Keras model, an autoencoder. Those numbers are no FID and compare
 * with nothing but themselves, so they have another name.
 */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import {
  CheckpointError,
  ConfigError,
  type Image,
  imagesToTensor,
  loadAutoencoder,
  type PretrainedAutoencoder,
  Tensor,
} from "@dcae/core";
import { openLayersModel, type Weights } from "@dcae/core/checkpoint";
import { createProgram, createScope, errorAs, input, reduceMean, type Value } from "@dcae/core/graph";
import { createProgramCache, type ProgramCache, plural } from "@dcae/core/internal";
import { layersNetwork, pictureFeatures } from "@dcae/core/nets";
import { closeAll, type Engine, failClosed } from "@dcae/core/runtime";
import { frechetDistance } from "../metrics/frechet-distance.js";
import { type FindNetworkOptions, findNetwork, type UsedFile, unverified } from "../networks/find-network.node.js";
import { type Protocol, resolveProtocol } from "../protocols/protocol.js";
import { nothingUsable, type PictureSource, type Unusable } from "../sources/picture-source.js";
import {
  createFeatureAccumulator,
  type FeatureAccumulator,
  type FeatureStatistics,
} from "../statistics/feature-accumulator.js";
import { computeFeatures, MAX_PROGRAMS, planFeatures } from "./feature-plan.js";
import { openReference, planReference, type Reference } from "./open-reference.node.js";

/** A metric as it is asked for. */
export interface SetMetric {
  /** In a log: "rfid", "fid", "rfd_clip", "fd_small-f32". */
  readonly name: string;
  /** "inception", "clip", the path of a Keras model (and "#" with a layer), or the autoencoder whose latents are the features. */
  readonly network: string;
  /** Pictures or statistics; undefined: the originals of what was made. */
  readonly reference: string | undefined;
}

/** Pictures that belong together. */
export interface CollectedPictures {
  /** @throws ShapeError when their sizes differ, errors of the network */
  add(pictures: readonly Image[]): Promise<void>;
}

/** Metrics of sets that a training computes at its evaluations: collects pictures, and compares them. */
export interface SetMetrics {
  /** Names of the metrics, and which way each is better. */
  readonly better: Readonly<Record<string, "lower">>;
  /** An empty set. */
  collect(): CollectedPictures;
  /**
   * The metrics of pictures that a model made.
   *
   * @param originals what it made them from, where there is such a thing
   * @throws DataError for fewer than two pictures
   */
  compare(made: CollectedPictures, originals?: CollectedPictures): Promise<Record<string, number>>;
  close(): Promise<void>;
}

/** Options of `openSetMetrics`. */
export interface SetMetricsOptions {
  /** For the FID network and CLIP. */
  readonly engine: Engine;
  /** Side of the pictures: references that are pictures are scaled and cut to it. */
  readonly size: number;
  /** Whether what is made has originals. Without them `rfid` and `rfd` are refused. */
  readonly originals: boolean;
  readonly weights?: FindNetworkOptions | undefined;
  /** Loads an autoencoder that gives features. Default: `loadAutoencoder`, on the CPU. */
  readonly loadEncoder?: ((source: string) => Promise<PretrainedAutoencoder>) | undefined;
  /** Hears, once each, what a reader of the numbers must know. */
  readonly onMessage?: ((text: string) => void) | undefined;
}

/** Pictures that go through a network together. */
const BATCH = 16;

const FORMS = "rfid, fid=REFERENCE, rfd:NETWORK, or fd:NETWORK=REFERENCE";

/**
 * Reads a metric as users write it: `rfid`, `fid=ref.npz`, `rfd:clip`, `fd:small-f32=photos/`.
 *
 * @throws ConfigError
 */
export function parseSetMetric(text: string): SetMetric {
  const refuse = (problem: string, hint = `Give ${FORMS}.`) =>
    new ConfigError(`evaluate: "${text}" ${problem}`, { hint });
  const [, kind, network, reference] = /^(r?f(?:id|d))(?::([^=]+))?(?:=(.+))?$/.exec(text) ?? [];
  if (kind === undefined) throw refuse("isn't a distance that is computed during training");
  const ofReference = !kind.startsWith("r");
  if (ofReference && reference === undefined) throw refuse("has no reference: what the distance is to");
  if (!ofReference && reference !== undefined) throw refuse("has a reference, but is the distance to the originals");
  if (kind.endsWith("id")) {
    if (network === undefined) return { name: kind, network: "inception", reference };
    throw refuse(
      "names a network, but FID has its own",
      `In other features it is ${kind.replace("id", "d")}:${network}.`,
    );
  }
  if (network === undefined) throw refuse("names no network");
  if (network === "inception") throw refuse("is FID", `Write ${kind.replace("fd", "fid")}.`);
  const short = (
    network
      .replace(/[/\\]+$/, "")
      .split(/[/\\]/)
      .at(-1) as string
  ).replace(/[^\w.-]+/g, "_");
  return { name: `${kind}_${short}`, network, reference };
}

/** Feature rows [N, D] of pictures of one size. */
interface FeatureNetwork {
  features(pictures: readonly Image[]): Promise<Tensor>;
  /** Frees what was only needed for one evaluation. */
  rest(): Promise<void>;
  readonly files: readonly UsedFile[];
  close(): Promise<void>;
}

/** Programs that are loaded when they are asked for, and freed between evaluations. */
function restingPrograms(engine: Engine): { programs(): ProgramCache; rest(): Promise<void> } {
  let programs: ProgramCache | undefined;
  return {
    programs() {
      programs ??= createProgramCache(engine, "the metrics", MAX_PROGRAMS);
      return programs;
    },
    async rest() {
      const loaded = programs;
      programs = undefined;
      await loaded?.dispose();
    },
  };
}

async function openMetricNetwork(
  network: "inception" | "clip",
  protocol: Protocol,
  { engine, weights }: SetMetricsOptions,
): Promise<FeatureNetwork> {
  const found = await findNetwork(network, weights);
  const opened = new Map<typeof network, Weights>([[network, found.weights]]);
  const feature = network === "clip" ? "clip" : "pool";
  const passes = planFeatures([feature], protocol);
  const { programs, rest } = restingPrograms(engine);
  return {
    async features(pictures) {
      return (await computeFeatures(passes, pictures, BATCH, programs(), opened))[feature] as Tensor;
    },
    rest,
    files: found.files,
    close: () => closeAll([rest, () => found.weights.close()]),
  };
}

/** Mean and standard deviation of every channel over the positions of a latent: [N, 2 L] of [N, L, h, w]. */
export function latentFeatures(latents: Tensor): Tensor {
  const [count, channels, height, width] = latents.shape as [number, number, number, number];
  const values = latents.toFloat32();
  const positions = height * width;
  const rows = new Float32Array(count * 2 * channels);
  for (let n = 0; n < count; n++) {
    for (let c = 0; c < channels; c++) {
      const start = (n * channels + c) * positions;
      let [sum, squares] = [0, 0];
      for (let i = start; i < start + positions; i++) sum += values[i] as number;
      const mean = sum / positions;
      for (let i = start; i < start + positions; i++) squares += ((values[i] as number) - mean) ** 2;
      rows[n * 2 * channels + c] = mean;
      rows[n * 2 * channels + channels + c] = Math.sqrt(squares / positions);
    }
  }
  return Tensor.float32(rows, [count, 2 * channels]);
}

/** A Keras model and the layer that is looked at. */
interface KerasPlace {
  readonly path: string;
  readonly layer: string | undefined;
}

/** Where the Keras model is that a network's name means; undefined where it means something else. */
async function kerasPlace(network: string): Promise<KerasPlace | undefined> {
  const [, path = network, layer] = /^(.+?)#([^#]+)$/.exec(network) ?? [];
  if (layer !== undefined) return { path, layer };
  const stats = await stat(path).catch(() => undefined);
  const described = stats?.isDirectory() === true ? await stat(join(path, "model.json")).catch(() => undefined) : stats;
  return described?.isFile() === true && (stats !== described || path.endsWith(".json")) ? { path, layer } : undefined;
}

/** The means of a layer's channels over its positions: pictures enter at their own size, as values from 0 to 1. */
async function openKeras({ path, layer }: KerasPlace, { engine, size }: SetMetricsOptions): Promise<FeatureNetwork> {
  const model = await openLayersModel(path).catch((error) => {
    throw errorAs(error, CheckpointError, "evaluate: ");
  });
  const { programs, rest } = restingPrograms(engine);
  try {
    const network = layersNetwork(model);
    const layers = [layer ?? (network.lastLayers().at(-1) as string)];
    const program = (shape: readonly number[]) => {
      const [features] = pictureFeatures(createScope(), network, input("pictures", shape), { layers }) as [Value];
      return createProgram(`features of ${network.source}`, { features: reduceMean(features, [2, 3]) });
    };
    // Says early that there is no such layer, or that the pictures are too small for it.
    program([1, 3, size, size]);
    return {
      async features(pictures) {
        const x = imagesToTensor(pictures);
        const found = await programs().run(x.shape.join("x"), () => program(x.shape), network.weights, { pictures: x });
        return found.features as Tensor;
      },
      rest,
      files: [],
      close: () => closeAll([rest, () => network.weights.close()]),
    };
  } catch (error) {
    return failClosed(error, [() => model.weights.close()]);
  }
}

/** Features are a small part of a training. */
const encodeOnCpu = (source: string) => loadAutoencoder(source, { device: "cpu" });

async function openEncoder(
  source: string,
  { size, loadEncoder = encodeOnCpu }: SetMetricsOptions,
): Promise<FeatureNetwork> {
  const model = await loadEncoder(source);
  if (size % model.compression !== 0) {
    await model.dispose();
    throw new ConfigError(`evaluate: ${source} encodes multiples of ${model.compression} pixels, not ${size}`, {
      hint: "Name an autoencoder of less compression.",
    });
  }
  return {
    features: async (pictures) => latentFeatures(await model.encodeLatent(imagesToTensor(pictures))),
    rest: async () => undefined,
    files: [],
    close: () => model.dispose(),
  };
}

/** Neither the FID network nor CLIP. */
async function openNetwork(network: string, options: SetMetricsOptions): Promise<FeatureNetwork> {
  const keras = await kerasPlace(network);
  return keras === undefined ? openEncoder(network, options) : openKeras(keras, options);
}

/** Adds pictures in order, in batches of one size. */
async function addFeatures(
  { features }: FeatureNetwork,
  pictures: readonly Image[],
  sums: FeatureAccumulator | undefined,
): Promise<FeatureAccumulator | undefined> {
  let found = sums;
  for (let start = 0; start < pictures.length; start += BATCH) {
    const rows = await features(pictures.slice(start, start + BATCH));
    found ??= createFeatureAccumulator(rows.shape[1] as number);
    found.add(rows.toFloat32());
  }
  return found;
}

/** @throws NoPicturesError when none can be read */
async function statisticsOf(
  source: PictureSource,
  network: FeatureNetwork,
  say: (text: string) => void,
): Promise<FeatureStatistics> {
  let sums: FeatureAccumulator | undefined;
  let batch: Image[] = [];
  const unusable: Unusable[] = [];
  const flush = async () => {
    sums = await addFeatures(network, batch, sums);
    batch = [];
  };
  for await (const { name, image, problem = "" } of source.read(0)) {
    if (image === undefined) {
      unusable.push({ name, problem });
      continue;
    }
    if (batch.length === BATCH || (batch[0] && (batch[0].width !== image.width || batch[0].height !== image.height))) {
      await flush();
    }
    batch.push(image);
  }
  await flush();
  if (sums === undefined) throw nothingUsable(source, unusable);
  const [first] = unusable;
  if (first !== undefined) {
    say(
      `${source.name}: ${plural(unusable.length, "picture")} can't be read and ${unusable.length === 1 ? "is" : "are"} left out, as ${first.name}: ${first.problem}`,
    );
  }
  return sums.statistics(source.name);
}

/** What a metric is a distance to, computed once. */
function referenceStatistics(
  metric: SetMetric,
  reference: Reference,
  network: FeatureNetwork,
  protocol: Protocol,
  say: (text: string) => void,
): () => Promise<FeatureStatistics> {
  let known: Promise<FeatureStatistics> | undefined;
  if (metric.network === "inception") {
    const fingerprints = network.files.map(({ sha256 }) => sha256);
    const { missing, warnings, statistics } = planReference(["fid"], reference, protocol, fingerprints);
    const [refused] = missing;
    if (refused !== undefined) {
      throw new ConfigError(`evaluate: ${metric.name}: ${refused.reason}`, {
        ...(refused.hint === undefined ? {} : { hint: refused.hint }),
      });
    }
    for (const warning of warnings) say(warning);
    const stored = statistics.get("fid");
    if (stored !== undefined) return async () => stored;
  }
  const { pictures, name } = reference;
  if (pictures === undefined) {
    throw new ConfigError(`evaluate: ${metric.name}: ${name} holds statistics of the FID network, not pictures`, {
      hint: "Give a folder of pictures, or an archive that holds them.",
    });
  }
  return () => {
    known ??= statisticsOf(pictures, network, say);
    return known;
  };
}

/**
 * Opens what the metrics need.
 *
 * @param names as `parseSetMetric` takes them
 * @throws ConfigError for what can't be computed, MissingWeightsError where the FID network or CLIP isn't here, DataError and
 *   CheckpointError for references and networks that can't be read
 */
export async function openSetMetrics(names: readonly string[], options: SetMetricsOptions): Promise<SetMetrics> {
  const { size, originals, onMessage } = options;
  const metrics = names.map(parseSetMetric);
  const twice = metrics.find(({ name }, i) => metrics.findIndex((other) => other.name === name) !== i);
  if (twice !== undefined) throw new ConfigError(`evaluate: there are two distances that are called ${twice.name}`);
  const lonely = originals ? undefined : metrics.find(({ reference }) => reference === undefined);
  if (lonely !== undefined) {
    throw new ConfigError(`evaluate: ${lonely.name} is the distance to originals, which samples don't have`, {
      hint: "Give fid=REFERENCE, or fd:NETWORK=REFERENCE.",
    });
  }
  const said = new Set<string>();
  const say = (text: string) => {
    if (!said.has(text)) onMessage?.(text);
    said.add(text);
  };
  const protocol = resolveProtocol({ size });
  const networks = new Map<string, FeatureNetwork>();
  const close = () => closeAll([...networks.values()].map((network) => () => network.close()));
  const references = new Map<string, () => Promise<FeatureStatistics>>();
  try {
    for (const metric of metrics) {
      const { name, network, reference } = metric;
      const opened =
        networks.get(network) ??
        (network === "inception" || network === "clip"
          ? await openMetricNetwork(network, protocol, options)
          : await openNetwork(network, options));
      networks.set(network, opened);
      for (const { path, published } of opened.files) if (!published) say(unverified(path));
      if (reference === undefined) continue;
      const found = await openReference(reference, protocol);
      references.set(name, referenceStatistics(metric, found, opened, protocol, say));
    }
  } catch (error) {
    return failClosed(error, [close]);
  }

  const sets = new WeakMap<CollectedPictures, Map<string, FeatureAccumulator>>();
  /** @throws DataError for fewer than two pictures */
  const statistics = (set: CollectedPictures | undefined, network: string, what: string): FeatureStatistics =>
    ((set && sets.get(set))?.get(network) ?? createFeatureAccumulator(1)).statistics(what);

  return {
    better: Object.fromEntries(metrics.map(({ name }) => [name, "lower" as const])),
    collect() {
      const sums = new Map<string, FeatureAccumulator>();
      const set: CollectedPictures = {
        async add(pictures) {
          for (const [key, network] of networks) {
            const found = await addFeatures(network, pictures, sums.get(key));
            if (found !== undefined) sums.set(key, found);
          }
        },
      };
      sets.set(set, sums);
      return set;
    },
    async compare(made, from) {
      const found: Record<string, number> = {};
      for (const { name, network } of metrics) {
        const other = references.get(name);
        const before = other === undefined ? statistics(from, network, "the originals") : await other();
        const { distance, warnings } = frechetDistance(before, statistics(made, network, "what the model made"));
        for (const warning of warnings) say(`${name}: ${warning}`);
        found[name] = distance;
      }
      for (const network of networks.values()) await network.rest();
      return found;
    },
    close,
  };
}

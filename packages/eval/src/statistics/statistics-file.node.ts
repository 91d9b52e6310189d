/**
 * Reference statistics as .npz: `mu` and `sigma` as pytorch-fid writes them, and ADM's layout with pictures in `arr_0`.
 *
 * Our files also hold the exact sums, so that shards merge into precisely the file of the whole, and what the numbers were
 * made of (protocol, network, images). Other tools ignore these entries.
 */

import { ConfigError, DataError, Tensor } from "@dcae/core";
import { parseJson } from "@dcae/core/checkpoint";
import { errorMessage } from "@dcae/core/graph";
import { plural } from "@dcae/core/internal";
import { type Field, FieldError, list, object, oneOf, record, text, whole } from "../files/json-fields.js";
import { type NpzFile, openNpz, writeNpz } from "../files/npz.node.js";
import type { InceptionPipeline } from "../networks/inception.js";
import { type Protocol, protocolFields } from "../protocols/protocol.js";
import type { Shard } from "../sources/picture-source.js";
import {
  createFeatureAccumulator,
  type FeatureAccumulator,
  type FeatureStatistics,
  type FeatureSums,
} from "./feature-accumulator.js";

/** What statistics were made of. */
export interface StatisticsInfo {
  readonly formatVersion: 1;
  readonly protocol: Protocol;
  /** Input of the network that the features come from. */
  readonly pipeline: InceptionPipeline;
  /** SHA-256 of the network's files. */
  readonly networks: readonly string[];
  /** Where the pictures came from. */
  readonly source: string;
  /** Fingerprint of the whole set: equal for its shards, wherever they were computed. */
  readonly set: string;
  /** The parts that are in here. */
  readonly shards: readonly Shard[];
  /** How many pictures had which size behind the crop, as in { "512x512": 5000 }. */
  readonly sizes: Readonly<Record<string, number>>;
  readonly warnings: readonly string[];
}

export interface StatisticsFile {
  readonly path: string;
  readonly statistics: FeatureStatistics;
  /** ADM's spatial features (`mu_s`, `sigma_s`), for sFID. */
  readonly spatial: FeatureStatistics | undefined;
  /** Undefined for files of other tools. */
  readonly sums: FeatureSums | undefined;
  readonly info: StatisticsInfo | undefined;
  /** Whether the file also holds pictures: the layout of ADM's reference archives, whose statistics are TensorFlow's. */
  readonly hasPictures: boolean;
}

const INFO = "dcae_info";
const COUNT = "dcae_count";
const SUMS = "dcae_sums";
const PRODUCTS = "dcae_products";
/** The features of FID have 2048 dimensions; a file from elsewhere may not make us allocate much more. */
const MAX_DIMENSIONS = 8192;

async function readVector(npz: NpzFile, name: string): Promise<Tensor> {
  const { dtype, shape } = await npz.describe(name);
  const [size = 0] = shape;
  if ((dtype !== "float64" && dtype !== "float32") || shape.length !== 1 || size < 1 || size > MAX_DIMENSIONS) {
    throw new DataError(`${npz.path}: "${name}" is ${dtype} [${shape.join(", ")}], expected float64 [D]`);
  }
  return npz.read(name, 8 * MAX_DIMENSIONS + 1024);
}

async function readStatisticsPair(npz: NpzFile, mu: string, sigma: string): Promise<FeatureStatistics> {
  const mean = await readVector(npz, mu);
  const size = mean.size;
  const { dtype, shape } = await npz.describe(sigma);
  if ((dtype !== "float64" && dtype !== "float32") || shape.join() !== [size, size].join()) {
    throw new DataError(
      `${npz.path}: "${sigma}" is ${dtype} [${shape.join(", ")}], expected float64 [${size}, ${size}] beside "${mu}"`,
    );
  }
  const covariance = await npz.read(sigma, 8 * size * size + 1024);
  for (const [name, tensor] of Object.entries({ [mu]: mean, [sigma]: covariance })) {
    if (tensor.toFloat32().every(Number.isFinite)) continue;
    throw new DataError(`${npz.path}: "${name}" has numbers that aren't finite`, {
      hint: "Features or pictures with invalid numbers went into it; compute the statistics again.",
    });
  }
  return {
    name: npz.path,
    count: undefined,
    mean: mean.cast("float64").data as Float64Array,
    covariance: covariance.cast("float64").data as Float64Array,
    stored: dtype,
  };
}

const hasMoments = ({ names }: NpzFile) => names.includes("mu") && names.includes("sigma");

/** Our own entries, checked against each other; undefined when there are none. */
async function readSums(npz: NpzFile): Promise<FeatureSums | undefined> {
  if (![COUNT, SUMS, PRODUCTS].every((name) => npz.names.includes(name))) return undefined;
  const { data } = await npz.read(COUNT, 1024);
  const count = Number(data[0] ?? Number.NaN);
  // Mean and covariance stand beside the sums of two images or more.
  if (data.length !== 1 || !Number.isSafeInteger(count) || count < 1 || count > 1 !== hasMoments(npz)) {
    throw new DataError(
      `${npz.path}: "${COUNT}" is ${data.length === 1 ? data[0] : `${data.length} numbers`}, expected a number of images`,
      {
        hint: "Compute the statistics again.",
      },
    );
  }
  const [size = 0] = (await npz.describe(hasMoments(npz) ? "mu" : SUMS)).shape;
  const dimensions = hasMoments(npz) ? size : Math.min(Math.floor(size / 2), MAX_DIMENSIONS);
  const read = async (name: string, length: number): Promise<Float64Array> => {
    const { dtype, shape } = await npz.describe(name);
    if (dtype !== "float64" || shape.join() !== String(length)) {
      throw new DataError(`${npz.path}: "${name}" is ${dtype} [${shape.join(", ")}], expected float64 [${length}]`);
    }
    const values = (await npz.read(name, 8 * length + 1024)).data as Float64Array;
    if (values.every(Number.isFinite)) return values;
    throw new DataError(`${npz.path}: "${name}" has numbers that aren't finite`, {
      hint: "Compute the statistics again.",
    });
  };
  const sums = await read(SUMS, 2 * dimensions);
  return { dimensions, count, sums, products: await read(PRODUCTS, dimensions * (dimensions + 1)) };
}

const shardFields: Field<Shard> = (value, name) => {
  const shard = object<Shard>({ index: whole(0), of: whole(1) }, {})(value, name);
  if (shard.index >= shard.of) throw new FieldError(`${name}.index`, `less than ${shard.of}`, shard.index);
  return shard;
};

const infoFields = object<Omit<StatisticsInfo, "formatVersion">>(
  {
    protocol: protocolFields,
    pipeline: oneOf("pytorch-fid", "tf1"),
    networks: list(text),
    source: text,
    set: text,
    shards: list(shardFields),
    sizes: record(whole(1)),
    warnings: list(text),
  },
  {},
);

async function readInfo(npz: NpzFile): Promise<StatisticsInfo | undefined> {
  if (!npz.names.includes(INFO)) return undefined;
  const bytes = (await npz.read(INFO, 2 ** 20)).data as Uint8Array;
  try {
    const info: unknown = parseJson(bytes, INFO);
    const isKnown = typeof info === "object" && info !== null && "formatVersion" in info && info.formatVersion === 1;
    if (!isKnown) throw new Error("it isn't of format version 1");
    return { formatVersion: 1, ...infoFields(info, "") };
  } catch (error) {
    throw new DataError(`${npz.path}: "${INFO}" can't be read: ${errorMessage(error)}`, {
      hint: "Compute the statistics again.",
    });
  }
}

/**
 * Reads statistics in either layout.
 *
 * @throws DataError when the file can't be read, is damaged, or has pictures without statistics
 */
export async function readStatistics(path: string): Promise<StatisticsFile> {
  const npz = await openNpz(path);
  try {
    const hasPictures = npz.names.includes("arr_0");
    if (!hasMoments(npz)) {
      if ((await readSums(npz)) !== undefined) {
        throw new DataError(`${path}: holds the sums of 1 picture, a covariance needs 2`, {
          hint: "It is a shard: merge it with the others, with `dcae eval merge`.",
        });
      }
      throw new DataError(`${path}: has no "mu" and "sigma", only ${npz.names.join(", ") || "nothing"}`, {
        hint: hasPictures
          ? "It holds pictures: give it as pictures instead."
          : "Write statistics with `dcae eval stats`.",
      });
    }
    const pair = await readStatisticsPair(npz, "mu", "sigma");
    const hasSpatial = npz.names.includes("mu_s") && npz.names.includes("sigma_s");
    const spatial = hasSpatial ? await readStatisticsPair(npz, "mu_s", "sigma_s") : undefined;
    const sums = await readSums(npz);
    return {
      path,
      statistics: { ...pair, count: sums?.count },
      spatial,
      sums,
      info: await readInfo(npz),
      hasPictures,
    };
  } finally {
    await npz.close();
  }
}

/** What is merged of a file of ours: everything but mean and covariance, which a shard of one image doesn't have. */
async function readShard(path: string): Promise<Pick<StatisticsFile, "path" | "sums" | "info">> {
  const npz = await openNpz(path);
  try {
    return { path, sums: await readSums(npz), info: await readInfo(npz) };
  } finally {
    await npz.close();
  }
}

/**
 * Writes statistics as `mu` and `sigma` with our entries beside them. A shard of one image has no covariance: its file holds only
 * the sums, to be merged.
 *
 * @throws DataError for fewer than two images (a shard: than one), or when the file can't be written
 */
export async function writeStatistics(
  path: string,
  accumulator: FeatureAccumulator,
  info: Omit<StatisticsInfo, "formatVersion">,
): Promise<void> {
  const { count, sums, products, dimensions } = accumulator.toSums();
  const isSingle = count === 1 && missingShare(info.shards) > 0;
  const statistics = isSingle ? undefined : accumulator.statistics(path);
  const json = new TextEncoder().encode(JSON.stringify({ formatVersion: 1, ...info }));
  await writeNpz(path, {
    ...(statistics !== undefined && {
      mu: new Tensor("float64", statistics.mean, [dimensions]),
      sigma: new Tensor("float64", statistics.covariance, [dimensions, dimensions]),
    }),
    [COUNT]: new Tensor("int64", BigInt64Array.of(BigInt(count)), []),
    [SUMS]: new Tensor("float64", sums, [sums.length]),
    [PRODUCTS]: new Tensor("float64", products, [products.length]),
    [INFO]: new Tensor("uint8", json, [json.length]),
  });
}

/** Which share of a set isn't in these shards, which don't overlap; 0 when all of it is. */
export function missingShare(shards: readonly Shard[]): number {
  const missing = 1 - shards.reduce((sum, { of }) => sum + 1 / of, 0);
  // Sums of fractions such as 1/3 miss 1 by rounding.
  return missing < 1e-9 ? 0 : missing;
}

/** The shards that complete a set, as "3/8", where all were divided by one number; undefined where they weren't. */
export function missingShards(shards: readonly Shard[]): string[] | undefined {
  const of = shards[0]?.of ?? 1;
  if (shards.some((shard) => shard.of !== of)) return undefined;
  const present = new Set(shards.map(({ index }) => index));
  const all = Array.from({ length: of }, (_, index) => index);
  return all.filter((index) => !present.has(index)).map((index) => `${index + 1}/${of}`);
}

/** What is true of any statistics of so many images. */
export function countWarnings(count: number, dimensions: number): string[] {
  if (count > dimensions) return [];
  return [
    `${plural(count, "picture")} give${count === 1 ? "s" : ""} a singular covariance of ${dimensions} dimensions; distances to it are biased`,
  ];
}

/** What `mergeStatistics` wrote. */
export interface MergedStatistics {
  readonly count: number;
  readonly shards: readonly Shard[];
  readonly warnings: readonly string[];
}

/**
 * Joins files of shards; the result equals the statistics of all their images in one run, to the last bit.
 *
 * @throws DataError when a file wasn't written by us, ConfigError when files don't belong together or overlap
 */
export async function mergeStatistics(paths: readonly string[], out: string): Promise<MergedStatistics> {
  let merged: FeatureAccumulator | undefined;
  let first: Awaited<ReturnType<typeof readShard>> | undefined;
  const shards: Shard[] = [];
  const sizes: Record<string, number> = {};
  const warnings = new Set<string>();
  if (paths.length < 2) throw new ConfigError(`merge: needs at least two files, got ${paths.length}`);
  for (const path of paths) {
    const file = await readShard(path);
    const { sums, info } = file;
    if (sums === undefined || info === undefined) {
      throw new DataError(`${path}: was written by another tool and can't be merged: it doesn't say how many images`, {
        hint: "Compute the statistics of its images with `dcae eval stats`.",
      });
    }
    first ??= file;
    checkFits(first, file);
    for (const shard of info.shards) {
      if (shards.some((known) => overlaps(known, shard))) {
        throw new ConfigError(
          `merge: ${path} has shard ${shard.index + 1} of ${shard.of}, which is in another file already`,
          {
            hint: "Give each shard once.",
          },
        );
      }
      shards.push(shard);
    }
    for (const warning of info.warnings) warnings.add(warning);
    for (const [size, count] of Object.entries(info.sizes)) sizes[size] = (sizes[size] ?? 0) + count;
    merged ??= createFeatureAccumulator(sums.dimensions);
    merged.merge(sums);
  }
  const accumulator = merged as FeatureAccumulator;
  const info = first?.info as StatisticsInfo;
  const { count, dimensions } = accumulator;
  // What follows from the count and the shards is said, but not stored: it may change with the next merge.
  await writeStatistics(out, accumulator, { ...info, shards, sizes, warnings: [...warnings] });
  const missing = missingShare(shards);
  const lacking = missingShards(shards);
  const which = lacking === undefined ? "" : ` (shard ${lacking.join(", ")})`;
  const ofShards = `${(100 * missing).toFixed(1)} % of the set is in none of these files${which}; merge the other shards too`;
  const said = [...warnings, ...countWarnings(count, dimensions), ...(missing === 0 ? [] : [ofShards])];
  return { count, shards, warnings: said };
}

function checkFits(a: Pick<StatisticsFile, "path" | "info">, b: typeof a): void {
  const parts = { protocol: "protocol", pipeline: "network input", networks: "network weights", set: "picture files" };
  for (const [part, words] of Object.entries(parts) as [keyof typeof parts, string][]) {
    if (JSON.stringify(a.info?.[part]) === JSON.stringify(b.info?.[part])) continue;
    throw new ConfigError(`merge: ${a.path} and ${b.path} differ in their ${words}, they are no shards of one set`, {
      hint: "Compute all shards with the same settings.",
    });
  }
}

function overlaps(a: Shard, b: Shard): boolean {
  // Fractions of the set, compared without division.
  return a.index * b.of < (b.index + 1) * a.of && b.index * a.of < (a.index + 1) * b.of;
}

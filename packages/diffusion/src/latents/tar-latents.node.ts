/**
 * Latents as WebDataset has samples: tar files with an array (`000000123.npy`) and its class (`000000123.cls`) for each, which other
 * loaders read in their order. Here a latent is read by its place in the file.
 *
 * Our folders say in `latents.json` what there must be; of others the arrays say the shape, and the classes are numbers.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { DataError } from "@dcae/core";
import {
  decodeNpy,
  encodeNpy,
  encodeNpyHeader,
  encodeTarMember,
  openFileSource,
  readTarDirectory,
  TAR_END,
} from "@dcae/core/checkpoint";
import { byteSize, dtypeKind, errorMessage, sizeOf, type Tensor } from "@dcae/core/graph";
import { addChannelSums, channelSums, plural } from "@dcae/core/internal";
import { joinLatents, type LatentDataset, statisticsFrom } from "./latent-dataset.js";
import { type LatentItem, type LatentManifest, shardCount, tarName, unitItems } from "./latent-manifest.js";
import { shardFiles, shardOf } from "./shard-files.node.js";
import { readSkipped } from "./skipped-pictures.node.js";

/** The class of a sample in text: more digits are no class. */
const MAX_CLASS_BYTES = 16;
/** More than any published set has; labels of strangers' archives are numbers up to this. */
const MAX_CLASSES = 1_000_000;

interface Place {
  readonly offset: number;
  readonly size: number;
}

interface TarSample {
  readonly key: string;
  readonly array: Place;
  readonly label: Place;
}

/** Name of a sample: the number of its latent, also where others were left out. */
const keyOf = ({ index }: LatentItem) => String(index).padStart(9, "0");

/** The bytes of an archive with a sample for each item. */
export function* encodeTarShard(items: readonly LatentItem[], latents: Tensor): Generator<Uint8Array> {
  for (const [i, item] of items.entries()) {
    yield encodeTarMember(`${keyOf(item)}.npy`, encodeNpy(latents.row(i)));
    yield encodeTarMember(`${keyOf(item)}.cls`, new TextEncoder().encode(String(item.label)));
  }
  yield TAR_END;
}

/**
 * The samples of an archive, in order.
 *
 * @throws DataError when it is damaged, a sample lacks its array or its class, or has one twice
 */
async function readSamples(path: string): Promise<TarSample[]> {
  const source = await openFileSource(path).catch((error: unknown) => {
    throw new DataError(errorMessage(error), { cause: error });
  });
  const samples = new Map<string, { array?: Place; label?: Place }>();
  try {
    for (const { name, offset, size } of await readTarDirectory(source)) {
      const [, key, ending] = /^(.*)\.(npy|cls)$/.exec(name) ?? [];
      // WebDataset's archives may have more in them, as descriptions.
      if (key === undefined) continue;
      const sample = samples.get(key) ?? {};
      samples.set(key, sample);
      const what = ending === "npy" ? "array" : "label";
      if (sample[what] !== undefined) throw new DataError(`${path}: "${name}" is in it twice`);
      sample[what] = { offset, size };
    }
  } finally {
    await source.close();
  }
  return [...samples].map(([key, { array, label }]) => {
    if (array !== undefined && label !== undefined && label.size <= MAX_CLASS_BYTES) return { key, array, label };
    const lacks = array === undefined ? "no .npy" : label === undefined ? "no .cls" : "no class in its .cls";
    throw new DataError(`${path}: the sample "${key}" has ${lacks}`, { hint: "Each latent has both." });
  });
}

/**
 * Opens an archive of a folder whose manifest says what must be in it, and checks that it is.
 *
 * @throws DataError naming the file
 */
export async function openTarShard(folder: string, manifest: LatentManifest, shard: number): Promise<TarSample[]> {
  const path = join(folder, tarName(shard));
  const items = unitItems(manifest, shard, await readSkipped(folder, manifest, shard));
  const hint = "Run the writing of these latents again; it completes them.";
  const samples = await readSamples(path);
  const stray = samples.findIndex(({ key }, i) => items[i] === undefined || key !== keyOf(items[i]));
  const { dtype, shape } = manifest;
  const size = encodeNpyHeader(dtype, shape).length + sizeOf(shape) * byteSize(dtype);
  const other = samples.find(({ array }) => array.size !== size);
  if (other !== undefined) {
    const expected = `${size} as ${dtype} [${shape.join(", ")}]`;
    throw new DataError(`${path}: ${other.key}.npy has ${other.array.size} bytes, not ${expected}`, { hint });
  }
  if (stray !== -1 || samples.length !== items.length) {
    const found = samples[stray] === undefined ? `ends behind sample ${samples.length}` : `has "${samples[stray].key}"`;
    throw new DataError(`${path}: ${found}, where ${plural(items.length, "latent")} of this folder should be`, {
      hint,
    });
  }
  return samples;
}

interface TarFile {
  readonly path: string;
  readonly samples: readonly TarSample[];
  /** What the samples' classes must be; undefined where the files alone say it. */
  readonly labels: Int32Array | undefined;
}

/** Opens a folder whose manifest says what there must be. */
export async function openTarLatents(folder: string, manifest: LatentManifest): Promise<LatentDataset> {
  const files: TarFile[] = [];
  for (let shard = 0; shard < shardCount(manifest); shard++) {
    const samples = await openTarShard(folder, manifest, shard);
    const items = unitItems(manifest, shard, await readSkipped(folder, manifest, shard));
    const labels = Int32Array.from(items, ({ label }) => label);
    files.push({ path: join(folder, tarName(shard)), samples, labels });
  }
  const { shape, classes, source, scalingFactor, shiftFactor, weights } = manifest;
  return tarDataset(files, { folder, shape, classes, source, scalingFactor, shiftFactor, weights });
}

/** The archives that lie in a folder. */
export async function tarFilesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return names
    .filter((entry) => !entry.isDirectory() && !entry.name.startsWith(".") && /\.tar$/i.test(entry.name))
    .map(({ name }) => name)
    .sort();
}

/**
 * Opens the archives of a folder without manifest: the first array says the shape, and the largest class how many there are.
 *
 * @throws DataError naming the file that is damaged
 */
export async function openForeignTars(folder: string, names: readonly string[]): Promise<LatentDataset> {
  const files: TarFile[] = [];
  let first: Tensor | undefined;
  let classes = 0;
  const reader = shardFiles(folder);
  try {
    for (const name of names) {
      const path = join(folder, name);
      const samples = await readSamples(path);
      const labels = new Int32Array(samples.length);
      for (const [i, sample] of samples.entries()) {
        labels[i] = parseLabel(await reader.read(path, sample.label), path, sample.key);
        classes = Math.max(classes, (labels[i] as number) + 1);
      }
      const [begins] = samples;
      if (first === undefined && begins !== undefined) {
        first = decodeNpy(await reader.read(path, begins.array), `${path}: ${begins.key}.npy`);
      }
      files.push({ path, samples, labels });
    }
  } finally {
    await reader.close();
  }
  if (first === undefined) throw new DataError(`${folder}: there are no latents in its archives, as ${names[0]}`);
  if (first.shape.length !== 3) {
    throw new DataError(`${names[0]}: its first array is [${first.shape.join(", ")}], not a latent [C, S, S]`);
  }
  return tarDataset(files, {
    folder,
    shape: first.shape as unknown as [number, number, number],
    classes: Array.from({ length: classes }, (_, label) => String(label)),
    ...{ source: null, scalingFactor: null, shiftFactor: null, weights: null },
  });
}

/** @throws DataError for anything but a number of a class */
function parseLabel(bytes: Uint8Array, path: string, key: string): number {
  const text = new TextDecoder().decode(bytes).trim();
  if (/^\d{1,7}$/.test(text) && Number(text) < MAX_CLASSES) return Number(text);
  throw new DataError(`${path}: ${key}.cls is ${JSON.stringify(text)}, not the number of a class`, {
    hint: `Classes are numbered from 0, below ${MAX_CLASSES.toLocaleString("en-US")}.`,
  });
}

type TarFolder = Omit<LatentDataset, "layout" | "length" | "read" | "statistics" | "close">;

function tarDataset(files: readonly TarFile[], about: TarFolder): LatentDataset {
  const { folder, shape } = about;
  let length = 0;
  let size: number | undefined;
  const shards = files.map((file) => {
    const start = length;
    length += file.samples.length;
    for (const { key, array } of file.samples) {
      size ??= array.size;
      if (array.size === size) continue;
      throw new DataError(`${file.path}: ${key}.npy has ${array.size} bytes, others of ${folder} ${size}`, {
        hint: "All latents of a folder must have one shape and type.",
      });
    }
    return { ...file, start };
  });
  const reader = shardFiles(folder);

  async function readOne(index: number): Promise<{ readonly values: Float32Array; readonly label: number }> {
    const shard = shards[shardOf(shards, index)];
    const row = index - (shard?.start ?? 0);
    const sample = shard?.samples[row];
    if (shard === undefined || sample === undefined) {
      throw new DataError(`${folder}: has no latent ${index}, only ${length}`);
    }
    const { path, labels } = shard;
    const array = decodeNpy(await reader.read(path, sample.array), `${path}: ${sample.key}.npy`);
    if (array.shape.join() !== shape.join() || dtypeKind(array.dtype) !== "float") {
      const got = `${array.dtype} [${array.shape.join(", ")}]`;
      throw new DataError(`${path}: ${sample.key}.npy is ${got}, not a latent [${shape.join(", ")}]`, {
        hint: "All latents of a folder must come from one autoencoder at one size; write them again.",
      });
    }
    const label = parseLabel(await reader.read(path, sample.label), path, sample.key);
    if (label === labels?.[row]) return { values: array.toFloat32(), label };
    throw new DataError(
      `${path}: ${sample.key}.cls is ${label}, not ${labels?.[row]} as when the folder was opened or written`,
      {
        hint: "The file is of another set, or has changed; write it again.",
      },
    );
  }

  return {
    ...about,
    layout: "tar",
    length,
    read: async (indices) => joinLatents(await Promise.all(Array.from(indices, readOne)), shape),
    async statistics() {
      const [channels, plane] = [shape[0], shape[1] * shape[2]];
      const total = channelSums([], channels, plane);
      for (let i = 0; i < length; i++) addChannelSums(total, channelSums((await readOne(i)).values, channels, plane));
      return statisticsFrom(total, length, plane);
    },
    close: reader.close,
  };
}

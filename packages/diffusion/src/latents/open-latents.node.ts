/**
 * Opens folders of latents: of any layout, written by us, by the reference, whose layout is one `.npy` per picture, or by others as
 * tar archives for WebDataset.
 */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { DataError } from "@dcae/core";
import { errorCode, fileError, readNpyFile, writeFileAtomic } from "@dcae/core/checkpoint";
import { dtypeKind } from "@dcae/core/graph";
import { listClassFolders } from "@dcae/core/image";
import { addChannelSums, channelSums } from "@dcae/core/internal";
import type { ChannelScale } from "./channel-scale.js";
import { joinLatents, type LatentDataset, type LatentFolderStatistics, statisticsFrom } from "./latent-dataset.js";
import {
  type LatentLayout,
  type LatentManifest,
  MANIFEST_NAME,
  npyName,
  parseManifest,
  shardCount,
  unitItems,
} from "./latent-manifest.js";
import { openShardLatents } from "./shard-latents.node.js";
import { readSkipped } from "./skipped-pictures.node.js";
import { openForeignTars, openTarLatents, tarFilesIn } from "./tar-latents.node.js";

/**
 * Opens a folder and checks that every file is there and whole. Close the result when done.
 *
 * @throws DataError naming the file that is missing, cut off or of another shape
 */
export async function openLatents(folder: string): Promise<LatentDataset> {
  const path = join(folder, MANIFEST_NAME);
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw fileError(error, path, "read");
    const archives = await tarFilesIn(folder);
    if (archives.length === 0) return openReferenceLatents(folder);
    const [first] = await listClassFolders(folder, [".npy"]).then(
      ({ files }) => files,
      () => [],
    );
    if (first === undefined) return openForeignTars(folder, archives);
    throw new DataError(`${folder}: has both archives (${archives[0]}) and arrays (${first})`, {
      hint: "Keep the latents of one layout in a folder.",
    });
  }
  const manifest = parseManifest(bytes, path);
  return OPENERS[manifest.layout](folder, manifest);
}

const OPENERS: Readonly<Record<LatentLayout, (folder: string, manifest: LatentManifest) => Promise<LatentDataset>>> = {
  npy: openNpyLatents,
  shards: openShardLatents,
  tar: openTarLatents,
};

const STATISTICS_NAME = "statistics.json";

/** Measures a data set and writes `statistics.json` into its folder. */
export async function writeLatentStatistics(dataset: LatentDataset): Promise<LatentFolderStatistics> {
  const statistics = await dataset.statistics();
  const text = `${JSON.stringify(statistics, null, 2)}\n`;
  await writeFileAtomic(join(dataset.folder, STATISTICS_NAME), (file) => file.write(new TextEncoder().encode(text)));
  return statistics;
}

/**
 * Mean and deviation of each channel, as `statistics.json` says; measured where there is no such file, or it is about other latents.
 *
 * @throws DataError where a channel is the same everywhere, or the file can't be read
 */
export async function channelScaleOf(dataset: LatentDataset): Promise<ChannelScale> {
  const { channelMean, channelStd } = (await storedStatistics(dataset)) ?? (await dataset.statistics());
  const flat = channelStd.findIndex((std) => !(std > 0));
  if (flat === -1) return { mean: channelMean, std: channelStd };
  throw new DataError(`${dataset.folder}: channel ${flat} has one value everywhere, so that no factor normalizes it`);
}

async function storedStatistics(dataset: LatentDataset): Promise<LatentFolderStatistics | undefined> {
  const path = join(dataset.folder, STATISTICS_NAME);
  let stored: Partial<LatentFolderStatistics>;
  try {
    stored = JSON.parse(await readFile(path, "utf8")) as Partial<LatentFolderStatistics>;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    if (!(error instanceof SyntaxError)) throw fileError(error, path, "read");
    throw new DataError(`${path}: isn't JSON`, { cause: error, hint: "Delete it: it is measured again." });
  }
  const isList = (values: unknown) =>
    Array.isArray(values) && values.length === dataset.shape[0] && values.every((value) => Number.isFinite(value));
  const fits = stored.count === dataset.length && isList(stored.channelMean) && isList(stored.channelStd);
  return fits ? (stored as LatentFolderStatistics) : undefined;
}

// The reference's layout: `<class>/<name>.npy`, one array [C, S, S] per picture (diffusion.md section 13).

/**
 * Reads one latent.
 *
 * @throws DataError naming the file
 */
export async function openNpyLatent(path: string, shape: readonly number[]): Promise<Float32Array> {
  const array = await readNpyFile(path);
  if (array.shape.join() !== shape.join() || dtypeKind(array.dtype) !== "float") {
    throw new DataError(`${path}: is ${array.dtype} [${array.shape.join(", ")}], not a latent [${shape.join(", ")}]`, {
      hint: "All latents of a folder must come from one autoencoder at one size; delete the file and write it again.",
    });
  }
  return array.toFloat32();
}

/** Opens a folder without manifest, as the reference writes it; the first array says the shape. */
async function openReferenceLatents(folder: string): Promise<LatentDataset> {
  const { classes, files } = await listClassFolders(folder, [".npy"]);
  const first = join(folder, files[0] as string);
  const { shape } = await readNpyFile(first);
  if (shape.length !== 3) throw new DataError(`${first}: is [${shape.join(", ")}], not a latent [C, S, S]`);
  return npyDataset({
    folder,
    files,
    classes,
    shape: shape as unknown as [number, number, number],
    source: null,
    ...{ scalingFactor: null, shiftFactor: null, weights: null },
  });
}

/** Opens a folder whose manifest says what there must be, but for pictures that were left out. */
async function openNpyLatents(folder: string, manifest: LatentManifest): Promise<LatentDataset> {
  const files: string[] = [];
  for (let unit = 0; unit < shardCount(manifest); unit++) {
    files.push(...unitItems(manifest, unit, await readSkipped(folder, manifest, unit)).map(npyName));
  }
  const { classes, shape, source, scalingFactor, shiftFactor, weights } = manifest;
  return npyDataset({ folder, files, classes, shape, source, scalingFactor, shiftFactor, weights });
}

interface NpyFolder extends Omit<LatentDataset, "layout" | "length" | "read" | "statistics" | "close"> {
  /** In the order of the latents. */
  readonly files: readonly string[];
}

async function npyDataset({ files, ...about }: NpyFolder): Promise<LatentDataset> {
  const { folder, classes, shape } = about;
  await checkSizes(folder, files);
  const numbers = new Map(classes.map((name, label) => [name, label]));
  const labelOf = (file: string) => numbers.get(file.slice(0, file.indexOf("/"))) as number;
  const read: LatentDataset["read"] = async (indices) => {
    const names = Array.from(indices, (index) => {
      const file = files[index];
      if (file === undefined) throw new DataError(`${folder}: has no latent ${index}, only ${files.length}`);
      return file;
    });
    const items = names.map(async (file) => ({
      values: await openNpyLatent(join(folder, file), shape),
      label: labelOf(file),
    }));
    return joinLatents(await Promise.all(items), shape);
  };
  return {
    ...about,
    layout: "npy",
    length: files.length,
    read,
    async statistics() {
      const [channels, plane] = [shape[0], shape[1] * shape[2]];
      const total = channelSums([], channels, plane);
      for (const file of files) {
        addChannelSums(total, channelSums(await openNpyLatent(join(folder, file), shape), channels, plane));
      }
      return statisticsFrom(total, files.length, plane);
    },
    async close() {},
  };
}

/** Files of one shape and type have one size: finds missing and cut-off ones without reading them. */
async function checkSizes(folder: string, files: readonly string[]): Promise<void> {
  const sizes = new Map<number, string>();
  for (const file of files) {
    const path = join(folder, file);
    try {
      const { size } = await stat(path);
      if (!sizes.has(size)) sizes.set(size, path);
    } catch (error) {
      throw fileError(error, path, "read");
    }
  }
  if (sizes.size <= 1) return;
  // The odd one out is the shorter one most of the time: reading it says what is wrong with it.
  const [[, shortest], [, longest]] = [...sizes].sort(([a], [b]) => a - b).map((entry) => entry) as [
    [number, string],
    [number, string],
  ];
  const [a, b] = [await readNpyFile(shortest), await readNpyFile(longest)];
  throw new DataError(
    `${shortest}: is ${a.dtype} [${a.shape.join(", ")}], but ${longest} is ${b.dtype} [${b.shape.join(", ")}]`,
    { hint: "All latents of a folder must have one shape and type." },
  );
}

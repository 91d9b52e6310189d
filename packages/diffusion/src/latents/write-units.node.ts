/**
 * Fills folders of latents: in units of one shard, each atomic, so that a run may be killed and started again, and shared
 * among processes by the unit's number. Where the latents come from is a function's business.
 */
import { mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ConfigError, DataError, ShapeError } from "@dcae/core";
import { errorCode, fileError, writeFileAtomic, writeNpyFile, writeSafetensorsFile } from "@dcae/core/checkpoint";
import { Tensor } from "@dcae/core/graph";
import { channelSums } from "@dcae/core/internal";
import {
  type LatentItem,
  type LatentManifest,
  MANIFEST_NAME,
  manifestDifference,
  manifestText,
  npyName,
  parseManifest,
  type ReplacedPicture,
  replacedPictures,
  shardCount,
  shardName,
  unitItems,
} from "./latent-manifest.js";
import { openNpyLatent } from "./open-latents.node.js";
import { openShard } from "./shard-latents.node.js";
import { readSkipped, type SkippedPictures, writeSkipped } from "./skipped-pictures.node.js";

/** Latents of those pictures that could be read. */
export interface EncodedItems {
  /** Of the items that aren't skipped, in their order: [items, C, S, S], already scaled. */
  readonly latents: Tensor;
  /** Why pictures are left out, by `<class>/<name>`; only where `skipErrors` allows it. */
  readonly skipped: SkippedPictures;
}

/** Latents of some pictures, [items, C, S, S], already scaled; or those of the readable ones. */
export type EncodeItems = (items: readonly LatentItem[]) => Promise<Tensor | EncodedItems>;

export interface UnitOptions {
  /** Which share of the units this process writes (default all): units with number mod count = index. */
  readonly part?: { readonly index: number; readonly count: number };
  /** Latents per call of `encode` (default 16). */
  readonly batchSize?: number;
  /**
   * Whether pictures may be left out (default false). They are listed in `skipped-<unit>.json`. Without it, units that lack
   * pictures are written again.
   */
  readonly skipErrors?: boolean;
  /** Called after each unit, also those that were there already. */
  readonly onProgress?: (progress: UnitProgress) => void;
  /** Stops between two batches. */
  readonly signal?: AbortSignal;
}

export interface UnitProgress {
  readonly unit: number;
  readonly units: number;
  /** Whether the unit had been written before. */
  readonly skipped: boolean;
}

/**
 * Writes the latents of a manifest, except those that are there and whole.
 *
 * @throws ConfigError when the folder holds latents of another manifest, DataError when files can't be written, ShapeError
 *   when `encode` gives something else than promised
 */
export async function writeUnits(
  folder: string,
  manifest: LatentManifest,
  encode: EncodeItems,
  options: UnitOptions = {},
): Promise<void> {
  const { part = { index: 0, count: 1 }, skipErrors = false, onProgress, signal } = options;
  const { index, count } = part;
  if (!(Number.isInteger(index) && Number.isInteger(count) && index >= 0 && index < count)) {
    throw new ConfigError(`part ${index} of ${count}: the index must be from 0 to one less than the count`);
  }
  const present = await claimFolder(folder, manifest);
  const units = shardCount(manifest);
  for (let unit = index; unit < units; unit += count) {
    signal?.throwIfAborted();
    const skipped = await isWhole(folder, manifest, unit, skipErrors);
    if (!skipped) {
      checkDecoding(folder, present, manifest);
      await writeUnit(folder, manifest, unit, encode, options);
    }
    onProgress?.({ unit, units, skipped });
  }
}

/**
 * Writes the manifest, or checks that the folder's says the same.
 *
 * @returns what the folder said before; undefined where it said nothing
 */
async function claimFolder(folder: string, manifest: LatentManifest): Promise<LatentManifest | undefined> {
  const path = join(folder, MANIFEST_NAME);
  const bytes = new TextEncoder().encode(manifestText(manifest));
  // The same checks as for reading: what can't be read back must not be written.
  parseManifest(bytes, path);
  let present: LatentManifest | undefined;
  try {
    await mkdir(folder, { recursive: true });
    present = parseManifest(await readFile(path), path);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw fileError(error, path, "read");
  }
  if (present !== undefined) {
    const replaced = replacedPictures(present, manifest);
    const difference = manifestDifference(present, manifest) ?? (await replacedBehind(folder, manifest, replaced));
    if (difference !== undefined) throw otherLatents(path, difference);
    if (replaced.length === 0) return present;
    checkDecoding(folder, present, manifest);
  }
  await writeFileAtomic(path, (file) => file.write(bytes));
  return present;
}

function otherLatents(path: string, difference: string): ConfigError {
  return new ConfigError(`${path}: describes other latents (${difference})`, {
    hint: "Choose an empty folder, or delete this one.",
  });
}

/** The first picture, in words, that was replaced after its latent was made. One without a latent may be repaired. */
async function replacedBehind(
  folder: string,
  manifest: LatentManifest,
  replaced: readonly ReplacedPicture[],
): Promise<string | undefined> {
  const copies = manifest.mirrored ? 2 : 1;
  const written = new Map<number, boolean>();
  for (const { index, words } of replaced) {
    const picture = manifest.pictures[index] as string;
    // The latents of a picture and of its mirror image may be in two units.
    const latents = [copies * index, copies * (index + 1) - 1];
    for (const unit of new Set(latents.map((latent) => Math.floor(latent / manifest.shardSize)))) {
      if (!written.has(unit)) written.set(unit, await isWhole(folder, manifest, unit, true));
      if (written.get(unit) && !(await readSkipped(folder, manifest, unit)).has(picture)) return words;
    }
  }
  return undefined;
}

/** Before latents are added: those that are there must come from pictures that were read in the same way. */
function checkDecoding(folder: string, present: LatentManifest | undefined, wanted: LatentManifest): void {
  if (present === undefined || present.decoding !== null || wanted.decoding === null) return;
  throw otherLatents(
    join(folder, MANIFEST_NAME),
    "decoding of pictures: of an earlier version there, which turned them as their cameras noted",
  );
}

/** Whether every latent of a unit is there (but for pictures left out, if they may be), readable and of the right shape. */
async function isWhole(folder: string, manifest: LatentManifest, unit: number, skipErrors: boolean): Promise<boolean> {
  try {
    const skipped = await readSkipped(folder, manifest, unit);
    if (skipped.size > 0 && !skipErrors) return false;
    if (manifest.layout === "shards") {
      const { file } = await openShard(folder, manifest, unit);
      await file.close();
      return true;
    }
    for (const item of unitItems(manifest, unit, skipped)) {
      await openNpyLatent(join(folder, npyName(item)), manifest.shape);
    }
    return true;
  } catch (error) {
    // Missing and damaged files are written again; anything else is a defect.
    if (error instanceof DataError) return false;
    throw error;
  }
}

/** How many units (shards) of a folder aren't there, or not whole but for pictures that were left out. */
export async function missingUnits(folder: string, manifest: LatentManifest): Promise<number> {
  let missing = 0;
  for (let unit = 0; unit < shardCount(manifest); unit++) {
    if (!(await isWhole(folder, manifest, unit, true))) missing++;
  }
  return missing;
}

async function writeUnit(
  folder: string,
  manifest: LatentManifest,
  unit: number,
  encode: EncodeItems,
  options: UnitOptions,
): Promise<void> {
  const { items, values, skipped } = await encodeUnit(manifest, unit, encode, options);
  const all = Tensor.float32(values, [items.length, ...manifest.shape]);
  // First, so that a unit without some of its pictures is never seen without the list of them.
  await writeSkipped(folder, unit, skipped);
  if (manifest.layout === "npy") {
    for (const [i, item] of items.entries()) {
      const path = join(folder, npyName(item));
      await mkdir(dirname(path), { recursive: true });
      await writeNpyFile(path, all.row(i).cast(manifest.dtype));
    }
    return;
  }
  const labels = new Tensor(
    "int32",
    Int32Array.from(items, ({ label }) => label),
    [items.length],
  );
  const { sums, squares } = channelSums(values, manifest.shape[0], manifest.shape[1] * manifest.shape[2]);
  const channels = [manifest.shape[0]];
  const tensors = {
    latents: all.cast(manifest.dtype),
    labels,
    // Statistics of the whole set are added up from these without reading the latents again.
    sums: new Tensor("float64", sums, channels),
    squares: new Tensor("float64", squares, channels),
  };
  const entries = Object.entries(tensors).map(([name, tensor]) => ({
    name,
    dtype: tensor.dtype,
    shape: tensor.shape,
    read: async () => tensor as Tensor,
  }));
  await writeSafetensorsFile(join(folder, shardName(unit)), entries);
}

interface EncodedUnit {
  /** What is there, in the unit's order. */
  readonly items: readonly LatentItem[];
  /** Their latents, one after the other. */
  readonly values: Float32Array;
  readonly skipped: SkippedPictures;
}

/**
 * @throws ShapeError when `encode` gives something else than promised, DataError for latents that aren't finite and for pictures
 *   that were left out though they mustn't be
 */
async function encodeUnit(
  manifest: LatentManifest,
  unit: number,
  encode: EncodeItems,
  { batchSize = 16, skipErrors = false, signal }: UnitOptions,
): Promise<EncodedUnit> {
  const items = unitItems(manifest, unit);
  const size = manifest.shape[0] * manifest.shape[1] * manifest.shape[2];
  const skipped = new Map<string, string>();
  const rows: { readonly item: LatentItem; readonly values: Float32Array }[] = [];
  for (let at = 0; at < items.length; at += batchSize) {
    signal?.throwIfAborted();
    const batch = items.slice(at, at + batchSize);
    const encoded = await encode(batch);
    const { latents, skipped: left } = "latents" in encoded ? encoded : { latents: encoded, skipped: new Map() };
    for (const [picture, reason] of left) {
      if (!skipErrors) throw new DataError(`writeLatents: ${picture} was left out: ${reason}`);
      skipped.set(picture, reason);
    }
    const present = batch.filter(({ picture }) => !left.has(picture));
    checkLatents(latents, [present.length, ...manifest.shape], batch[0]?.picture ?? "");
    const values = latents.toFloat32();
    rows.push(...present.map((item, i) => ({ item, values: values.subarray(i * size, (i + 1) * size) })));
  }
  // A picture and its mirror image may come in two batches, and only one of them be read.
  const kept = rows.filter(({ item }) => !skipped.has(item.picture));
  const values = new Float32Array(kept.length * size);
  for (const [i, row] of kept.entries()) values.set(row.values, i * size);
  return { items: kept.map(({ item }) => item), values, skipped };
}

function checkLatents(latents: Tensor, expected: readonly number[], picture: string): void {
  if (latents.shape.join() !== expected.join()) {
    throw new ShapeError(
      `writeLatents: encode gave [${latents.shape.join(", ")}] for the batch at ${picture}, not [${expected.join(", ")}]`,
    );
  }
  if (latents.toFloat32().some((value) => !Number.isFinite(value))) {
    throw new DataError(`writeLatents: a latent of the batch at ${picture} isn't finite`);
  }
}

/**
 * Fills folders of latents: in units of one shard, each atomic, so that a run may be killed and started again, and shared
 * among processes by the unit's number. Where the latents come from is a function's business.
 */
import { mkdir, readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { CheckpointError, ConfigError, DataError, ShapeError } from "@dcae/core";
import {
  errorCode,
  fileError,
  openSafetensorsFile,
  type SafetensorsFile,
  tensorEntries,
  writeFileAtomic,
  writeNpyFile,
  writeSafetensorsFile,
} from "@dcae/core/checkpoint";
import { Tensor } from "@dcae/core/graph";
import { channelSums, checkPart, type JobPart, removeFile } from "@dcae/core/internal";
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
  tarName,
  unitItems,
} from "./latent-manifest.js";
import { openNpyLatent } from "./open-latents.node.js";
import { openShard } from "./shard-latents.node.js";
import { readSkipped, type SkippedPictures, writeSkipped } from "./skipped-pictures.node.js";
import { encodeTarShard, openTarShard } from "./tar-latents.node.js";

/** Latents of those pictures that could be read. */
export interface EncodedItems {
  /** Of the items that aren't skipped, in their order: [items, C, S, S], already scaled. */
  readonly latents: Tensor;
  /** Why pictures are left out, by `<class>/<name>`; only where `skipErrors` allows it. */
  readonly skipped: SkippedPictures;
}

/**
 * Latents of some pictures, [items, C, S, S], already scaled; or those of the readable ones. What comes after them is told, so that it
 * can be read meanwhile.
 */
export type EncodeItems = (
  items: readonly LatentItem[],
  next?: readonly LatentItem[],
) => Promise<Tensor | EncodedItems>;

export interface UnitOptions {
  /** Which share of the units this process writes (default all): units with number mod count = index. */
  readonly part?: JobPart;
  /** Latents per call of `encode` (default 16). */
  readonly batchSize?: number;
  /**
   * Whether pictures may be left out (default false). They are listed in `skipped-<unit>.json`. Without it, units that lack
   * pictures are written again.
   */
  readonly skipErrors?: boolean;
  /** Called after each unit, also those that were there already. */
  readonly onProgress?: (progress: UnitProgress) => void;
  /** Called with the number of latents that a stopped process had made of a unit, when it is gone on with. */
  readonly onRestored?: (latents: number) => void;
  /** Stops between two batches. What is made of a unit is kept then, for the next process. */
  readonly signal?: AbortSignal;
  /** Seconds after which that is also kept while the work goes on, for a process that is killed (default 60). */
  readonly keepSeconds?: number;
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
  checkPart(part);
  const { index, count } = part;
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
    if (manifest.layout === "tar") {
      await openTarShard(folder, manifest, unit);
      return true;
    }
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

/** Which units (shards) of a folder aren't there, or not whole but for pictures that were left out. */
export async function missingUnits(folder: string, manifest: LatentManifest): Promise<number[]> {
  const missing: number[] = [];
  for (let unit = 0; unit < shardCount(manifest); unit++) {
    if (!(await isWhole(folder, manifest, unit, true))) missing.push(unit);
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
  const { items, values, skipped } = await encodeUnit(folder, manifest, unit, encode, options);
  const all = Tensor.float32(values, [items.length, ...manifest.shape]);
  // First, so that a unit without some of its pictures is never seen without the list of them.
  await writeSkipped(folder, unit, skipped);
  if (manifest.layout === "npy") {
    for (const [i, item] of items.entries()) {
      const path = join(folder, npyName(item));
      await mkdir(dirname(path), { recursive: true });
      await writeNpyFile(path, all.row(i).cast(manifest.dtype));
    }
    await removeBegun(folder, unit);
    return;
  }
  if (manifest.layout === "tar") {
    await writeFileAtomic(join(folder, tarName(unit)), async (file) => {
      for (const bytes of encodeTarShard(items, all.cast(manifest.dtype))) await file.write(bytes);
    });
    await removeBegun(folder, unit);
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
  await removeBegun(folder, unit);
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
  folder: string,
  manifest: LatentManifest,
  unit: number,
  encode: EncodeItems,
  { batchSize = 16, skipErrors = false, signal, onRestored, keepSeconds = 60 }: UnitOptions,
): Promise<EncodedUnit> {
  const items = unitItems(manifest, unit);
  const size = manifest.shape[0] * manifest.shape[1] * manifest.shape[2];
  const begun = await readBegun(folder, manifest, unit, { batchSize, skipErrors });
  const { rows, skipped } = begun;
  if (begun.done > 0) onRestored?.(begun.done);
  let kept = performance.now();
  let at = begun.done;
  try {
    for (; at < items.length; at += batchSize) {
      signal?.throwIfAborted();
      const batch = items.slice(at, at + batchSize);
      const encoded = await encode(batch, items.slice(at + batchSize, at + 2 * batchSize));
      const { latents, skipped: left } = "latents" in encoded ? encoded : { latents: encoded, skipped: new Map() };
      for (const [picture, reason] of left) {
        if (!skipErrors) throw new DataError(`writeLatents: ${picture} was left out: ${reason}`);
        skipped.set(picture, reason);
      }
      const present = [...batch.keys()].filter((i) => !left.has(batch[i]?.picture ?? ""));
      checkLatents(latents, [present.length, ...manifest.shape], batch[0]?.picture ?? "");
      const values = latents.toFloat32();
      rows.push(...present.map((i, row) => ({ item: at + i, values: values.subarray(row * size, (row + 1) * size) })));
      if (performance.now() - kept > 1000 * keepSeconds) {
        await writeBegun(folder, manifest, unit, { done: at + batch.length, batchSize, rows, skipped });
        kept = performance.now();
      }
    }
  } catch (error) {
    if (signal?.aborted === true && at > begun.done) {
      // Whatever keeps it from being written (a full disk), the reason to stop is what is told.
      await writeBegun(folder, manifest, unit, { done: at, batchSize, rows, skipped }).catch(() => undefined);
    }
    throw error;
  }
  // A picture and its mirror image may come in two batches, and only one of them be read.
  const whole = rows.filter(({ item }) => !skipped.has(items[item]?.picture ?? ""));
  const values = new Float32Array(whole.length * size);
  for (const [i, row] of whole.entries()) values.set(row.values, i * size);
  return { items: whole.map(({ item }) => items[item] as LatentItem), values, skipped };
}

// What a process that was stopped had made of a unit: whole batches, in a file beside the units that goes away with the unit's end.

interface BegunUnit {
  /** Items that were encoded, or left out. */
  readonly done: number;
  readonly rows: { readonly item: number; readonly values: Float32Array }[];
  readonly skipped: Map<string, string>;
}

/** Of the pictures' files, as the description of the folder notes them: a picture may be replaced while its unit isn't whole. */
const filesOf = ({ files, shardSize, mirrored }: LatentManifest, unit: number) => {
  const copies = mirrored ? 2 : 1;
  const [first, last] = [unit * shardSize, (unit + 1) * shardSize - 1].map((latent) => Math.floor(latent / copies));
  return JSON.stringify(files?.slice(first, (last as number) + 1) ?? null);
};

const BEGUN_NAME = /^\.begun-\d{6,}\.safetensors$/;
const begunName = (unit: number) => `.begun-${String(unit).padStart(6, "0")}.safetensors`;

function removeBegun(folder: string, unit: number): Promise<void> {
  return removeFile(join(folder, begunName(unit)));
}

/** Those of a folder whose units are all whole: a process that was stopped late may have left one. */
export async function removeBegunUnits(folder: string): Promise<void> {
  for (const name of await readdir(folder)) if (BEGUN_NAME.test(name)) await removeFile(join(folder, name));
}

async function writeBegun(
  folder: string,
  manifest: LatentManifest,
  unit: number,
  { done, batchSize, rows, skipped }: BegunUnit & { readonly batchSize: number },
): Promise<void> {
  const size = manifest.shape[0] * manifest.shape[1] * manifest.shape[2];
  const values = new Float32Array(rows.length * size);
  for (const [i, row] of rows.entries()) values.set(row.values, i * size);
  const items = rows.map(({ item }) => item);
  const begun = { done, batchSize, files: filesOf(manifest, unit), items, skipped: Object.fromEntries(skipped) };
  await writeSafetensorsFile(
    join(folder, begunName(unit)),
    tensorEntries([["latents", Tensor.float32(values, [rows.length, ...manifest.shape])]]),
    { metadata: { begun: JSON.stringify(begun) } },
  );
}

/** What is there of a unit. Of other batches, whose last bits may differ, and from a file that can't be read, nothing is taken. */
async function readBegun(
  folder: string,
  manifest: LatentManifest,
  unit: number,
  { batchSize, skipErrors }: { readonly batchSize: number; readonly skipErrors: boolean },
): Promise<BegunUnit> {
  const nothing: BegunUnit = { done: 0, rows: [], skipped: new Map() };
  let file: SafetensorsFile;
  try {
    file = await openSafetensorsFile(join(folder, begunName(unit)));
  } catch (error) {
    if (error instanceof DataError || error instanceof CheckpointError) return nothing;
    throw error;
  }
  try {
    const begun = JSON.parse(file.metadata.get("begun") ?? "null") as
      | (Pick<BegunUnit, "done"> & {
          batchSize: number;
          files: string;
          items: number[];
          skipped: Record<string, string>;
        })
      | null;
    const latents = await file.entries.get("latents")?.read();
    if (begun === null || begun.batchSize !== batchSize || latents === undefined) return nothing;
    if (begun.files !== filesOf(manifest, unit)) return nothing;
    if (latents.shape.join() !== [begun.items.length, ...manifest.shape].join()) return nothing;
    const skipped = new Map(Object.entries(begun.skipped));
    if (skipped.size > 0 && !skipErrors) return nothing;
    const values = latents.toFloat32();
    const size = values.length / Math.max(begun.items.length, 1);
    const rows = begun.items.map((item, i) => ({ item, values: values.subarray(i * size, (i + 1) * size) }));
    return { done: begun.done, rows, skipped };
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError || error instanceof CheckpointError) return nothing;
    throw error;
  } finally {
    await file.close();
  }
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

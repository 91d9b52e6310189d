/** Pictures to a folder of latents that diffusion models train on: what `dcae latents` does, for programs. */
import { readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { ConfigError, DataError, Tensor } from "@dcae/core";
import { weightsFingerprint } from "@dcae/core/checkpoint";
import { type Autoencoder, holdShard, type JobPart, scaleLatent } from "@dcae/core/internal";
import { familyOf } from "@dcae/core/models";
import { type EncodePictures, measureScalingFactor, pictureEncoder } from "./encode-pictures.js";
import type { LatentFolderStatistics } from "./latent-dataset.js";
import { type LatentManifest, latentCount, MANIFEST_NAME, parseManifest } from "./latent-manifest.js";
import { openLatents, writeLatentStatistics } from "./open-latents.node.js";
import type { PictureSet } from "./picture-folder.node.js";
import { type SkippedPictures, skippedPictures } from "./skipped-pictures.node.js";
import { missingUnits, removeBegunUnits, writeUnits } from "./write-units.node.js";

/** Options of `writeLatents`. */
export interface WriteLatentsOptions {
  readonly autoencoder: Autoencoder;
  /** `pictureFolder(path)`, or the drawn `scenePictures` of `@dcae/train/diffusion`. */
  readonly pictures: PictureSet;
  /** Folder of the latents. What an earlier call left there is gone on with. */
  readonly directory: string;
  /** Side of the pictures, scaled and cut as the reference prepares data sets: a multiple of the compression. */
  readonly size: number;
  /** Files of many latents (default), the reference's layout, one `.npy` per picture, or tar archives for WebDataset. */
  readonly layout?: LatentManifest["layout"];
  /** What latents are stored in (default float32). */
  readonly dtype?: LatentManifest["dtype"];
  /** Latents per shard, and per unit of work (default 1024). */
  readonly shardSize?: number | undefined;
  /** Also the latents of the mirrored pictures (default false). */
  readonly mirrored?: boolean;
  /** Instead of the autoencoder's; "measure": 1 / RMS of the latents of up to 256 of the pictures. */
  readonly scalingFactor?: number | "measure" | undefined;
  /** Adaptive models (DC-AE 1.5): only the first channels. */
  readonly latentChannels?: number | undefined;
  /** Of the noise of an autoencoder that encodes to a Gaussian (default: that of drawn pictures, or 0). */
  readonly seed?: bigint | undefined;
  /** What the folder calls the autoencoder (default: its name); a path becomes absolute. */
  readonly source?: string;
  /** Pictures that go through the model together (default 16). */
  readonly batchSize?: number;
  /**
   * Which share of the units this process writes (default all): those with number mod count = index. One process at a time has a
   * share; another one that is called for it waits for the first, and goes on if that ends early.
   */
  readonly part?: JobPart | undefined;
  /** Told when another process has the part: "process 12 on node3". */
  readonly onWait?: (owner: string) => void;
  /** Leave out pictures that can't be read, and list them in the folder, instead of stopping (default false). */
  readonly skipErrors?: boolean;
  /** Called once for each picture that can't be read. */
  readonly onUnreadable?: (picture: string, error: DataError) => void;
  readonly onProgress?: (progress: LatentsProgress) => void;
  /** Stops without waiting for a forward pass. */
  readonly signal?: AbortSignal;
}

/** How far `writeLatents` is. */
export interface LatentsProgress {
  readonly stage: "measure" | "encode";
  /** Latents that are done, of those of all processes. */
  readonly done: number;
  readonly total: number;
  /** The last one; undefined where none was made. */
  readonly picture?: string;
}

/** What a call of `writeLatents` left behind. */
export interface WrittenLatents {
  readonly manifest: LatentManifest;
  /** How many units other processes, or a later call, still have to write. */
  readonly missing: number;
  /** Their numbers, from 0. */
  readonly missingUnits: readonly number[];
  /** Why pictures were left out, by `<class>/<name>`. */
  readonly skipped: SkippedPictures;
  /** Of the whole folder, also in its `statistics.json`; undefined while units are missing. */
  readonly statistics: LatentFolderStatistics | undefined;
}

/**
 * Writes the latents of pictures, except those that are there and whole: a call that was stopped at any moment is made again.
 *
 * @throws ConfigError for options that the model doesn't have, where no scaling factor is known, when the folder holds other
 *   latents, and while processes divide it into another number of parts; ShapeError for a size that the model can't take; DataError for
 *   pictures that can't be read and files that can't be written
 * @example
 * ```ts
 * import { loadAutoencoder } from "@dcae/core";
 * import { openLatents, pictureFolder, writeLatents } from "@dcae/diffusion";
 *
 * const autoencoder = await loadAutoencoder("small-f32");
 * const pictures = await pictureFolder("photos"); // <class>/<picture>
 * await writeLatents({ autoencoder, pictures, directory: "latents", size: 64 });
 * await autoencoder.dispose();
 * const { classes, length, shape } = await openLatents("latents"); // shape [32, 2, 2]
 * ```
 */
export async function writeLatents(options: WriteLatentsOptions): Promise<WrittenLatents> {
  const { directory, part, onWait, signal } = options;
  checkOptions(options);
  if (part === undefined) return writePart(options);
  return holdShard(directory, part, { onWait, signal }, () => writePart(options));
}

async function writePart(options: WriteLatentsOptions): Promise<WrittenLatents> {
  const { autoencoder, pictures, directory, batchSize = 16, skipErrors = false, part, onProgress, signal } = options;
  const seed = options.seed ?? pictures.seed ?? 0n;
  const encode = pictureEncoder({ ...options, seed, skipErrors });
  const manifest = await describeLatents(options, seed, encode);
  const scale = { factor: manifest.scalingFactor, shift: manifest.shiftFactor };
  const total = latentCount(manifest);
  let done = 0;
  await writeUnits(
    directory,
    manifest,
    async (items, next) => {
      const { latents, skipped } = await encode(items, next);
      done += items.length;
      onProgress?.({ stage: "encode", done, total, picture: items.at(-1)?.picture ?? "" });
      const none = Tensor.zeros([0, ...manifest.shape]);
      return { latents: latents === undefined ? none : scaleLatent(latents, scale, autoencoder.name), skipped };
    },
    {
      ...(part === undefined ? {} : { part }),
      batchSize,
      skipErrors,
      ...(signal === undefined ? {} : { signal }),
      onRestored(latents) {
        done += latents;
        onProgress?.({ stage: "encode", done, total });
      },
      onProgress({ skipped, unit }) {
        if (skipped) done += Math.min(manifest.shardSize, total - unit * manifest.shardSize);
        onProgress?.({ stage: "encode", done, total });
      },
    },
  );
  return endOf(directory, manifest, part === undefined ? [] : await missingUnits(directory, manifest));
}

async function endOf(directory: string, manifest: LatentManifest, missing: readonly number[]): Promise<WrittenLatents> {
  const skipped = await skippedPictures(directory, manifest);
  let statistics: LatentFolderStatistics | undefined;
  if (missing.length === 0) {
    await removeBegunUnits(directory);
    statistics = await measureFolder(directory);
  }
  return { manifest, missing: missing.length, missingUnits: missing, skipped, statistics };
}

/**
 * The end of a folder that several processes wrote: says which units are missing, and measures it when none is. The last process does
 * the same by itself.
 *
 * @throws DataError where the folder holds no latents
 */
export async function mergeLatents(directory: string): Promise<WrittenLatents> {
  const manifest = await begunManifest(directory);
  if (manifest === undefined) {
    throw new DataError(`${directory}: has no ${MANIFEST_NAME}, so that no latents were begun there`);
  }
  return endOf(directory, manifest, await missingUnits(directory, manifest));
}

/** What would only be noticed when the folder was begun. @throws ConfigError */
function checkOptions({ autoencoder, pictures, batchSize = 16, latentChannels, seed }: WriteLatentsOptions): void {
  const { name, description, latentChannels: all } = autoencoder;
  if (!(Number.isSafeInteger(batchSize) && batchSize >= 1)) {
    throw new ConfigError(`batchSize: ${batchSize} isn't a positive integer`);
  }
  if (latentChannels !== undefined && latentChannels !== all) {
    if (!familyOf(description).isAdaptive(description.config).encoder) {
      throw new ConfigError(`latentChannels: ${name} always gives ${all}`, { hint: "Leave it out." });
    }
    if (!(Number.isSafeInteger(latentChannels) && latentChannels >= 1 && latentChannels < all)) {
      throw new ConfigError(`latentChannels: ${latentChannels} isn't an integer from 1 to ${all}`);
    }
  }
  if (seed === undefined || seed === pictures.seed) return;
  if (!isRandom(autoencoder)) throw new ConfigError(`seed: it has no effect, ${name} encodes without noise`);
  if (pictures.seed === null) return;
  throw new ConfigError(`seed ${seed}: the pictures are drawn from ${pictures.seed}, and a folder has one seed`, {
    hint: "Leave it out.",
  });
}

const isRandom = ({ description }: Autoencoder) => familyOf(description).latent.isRandom;

/** What will be written. A factor that is to be measured is that of the folder, if it was begun already. */
async function describeLatents(
  options: WriteLatentsOptions,
  seed: bigint,
  encode: EncodePictures,
): Promise<LatentManifest> {
  const { autoencoder, pictures, size, source = autoencoder.name } = options;
  const [, channels, height, width] = autoencoder.latentShape([1, 3, size, size]) as [number, number, number, number];
  return {
    layout: options.layout ?? "shards",
    shape: [options.latentChannels ?? channels, height, width],
    dtype: options.dtype ?? "float32",
    classes: pictures.classes,
    pictures: pictures.names,
    mirrored: options.mirrored ?? false,
    shardSize: options.shardSize ?? 1024,
    // A path means the same from everywhere only if it is absolute.
    source: await stat(source).then(
      () => resolve(source),
      () => source,
    ),
    scalingFactor: await chooseFactor(options, encode),
    shiftFactor: autoencoder.shiftFactor,
    files: await pictures.files(),
    decoding: pictures.decoding,
    seed: pictures.seed !== null || isRandom(autoencoder) ? String(seed) : null,
    weights: await weightsFingerprint(autoencoder.weights),
  };
}

async function chooseFactor(options: WriteLatentsOptions, encode: EncodePictures): Promise<number> {
  const { autoencoder, pictures, directory, batchSize = 16, onProgress, signal } = options;
  const factor = options.scalingFactor ?? autoencoder.scalingFactor;
  if (factor === null) {
    throw new ConfigError(`no scaling factor is known for ${autoencoder.name}`, {
      hint: 'Give it as scalingFactor, or "measure".',
    });
  }
  if (factor !== "measure") return factor;
  const begun = await begunManifest(directory);
  if (begun !== undefined) return begun.scalingFactor;
  return measureScalingFactor(encode, pictures.names, {
    shift: autoencoder.shiftFactor,
    batchSize,
    onBatch(done, total) {
      signal?.throwIfAborted();
      onProgress?.({ stage: "measure", done, total });
    },
  });
}

/** The manifest that an earlier run or another process wrote into the folder. */
async function begunManifest(folder: string): Promise<LatentManifest | undefined> {
  const path = join(folder, MANIFEST_NAME);
  const bytes = await readFile(path).catch(() => undefined);
  return bytes === undefined ? undefined : parseManifest(bytes, path);
}

async function measureFolder(folder: string): Promise<LatentFolderStatistics> {
  const dataset = await openLatents(folder);
  try {
    if (dataset.length === 0) throw new DataError(`${folder}: none of the pictures could be used`);
    return await writeLatentStatistics(dataset);
  } finally {
    await dataset.close();
  }
}

/** Pictures of a set to latents, mirrored ones too, and how large latents are on average. */
import { DataError, Tensor } from "@dcae/core";
import { createRandom, sizeOf } from "@dcae/core/graph";
import { type Autoencoder, latentStatistics, scaleLatent, unlessAborted } from "@dcae/core/internal";
import { familyOf } from "@dcae/core/models";
import type { LatentItem } from "./latent-manifest.js";
import type { PictureSet } from "./picture-folder.node.js";
import type { SkippedPictures } from "./skipped-pictures.node.js";

interface PictureEncoding {
  readonly autoencoder: Autoencoder;
  readonly pictures: PictureSet;
  /** Side of the pictures. */
  readonly size: number;
  /** Adaptive models: only the first channels. */
  readonly latentChannels?: number | undefined;
  /** Of the noise of an autoencoder that encodes to a Gaussian. */
  readonly seed: bigint;
  /** Whether pictures that can't be read may be left out. */
  readonly skipErrors: boolean;
  /** Called once for each picture that can't be read; what it throws ends the work. */
  readonly onUnreadable?: ((picture: string, error: DataError) => void) | undefined;
  /** A forward pass isn't waited for. */
  readonly signal?: AbortSignal | undefined;
}

type PictureItem = Pick<LatentItem, "picture" | "mirrored">;

/** The latents of some pictures, and of the mirrored ones. While they are computed, the pictures of `next` are read. */
export type EncodePictures = (items: readonly PictureItem[], next?: readonly PictureItem[]) => Promise<EncodedPictures>;

interface EncodedPictures {
  /** [n, C, S, S] of the n items that could be read, not scaled; undefined where none could. */
  readonly latents: Tensor | undefined;
  readonly skipped: SkippedPictures;
}

/**
 * Each picture is read once, also where it is mirrored too. Gaussians are drawn from with noise that follows from the seed and the
 * picture's name, so that batches don't change it.
 *
 * @throws what it returns throws DataError for the first picture that can't be read, unless such may be left out
 */
export function pictureEncoder(encoding: PictureEncoding): EncodePictures {
  const { autoencoder, pictures, size, latentChannels, seed, signal } = encoding;
  const { isRandom } = familyOf(autoencoder.description).latent;
  const shapeOf = (count: number) => autoencoder.latentShape([count, 3, size, size]);
  const leaveOut = unreadablePictures(encoding);
  /** Those that are being read ahead, by name. */
  let ahead = new Map<string, Promise<Tensor | DataError>>();
  const namesOf = (items: readonly PictureItem[]) => [...new Set(items.map(({ picture }) => picture))];
  const load = (name: string) => {
    const loading = loadOrError(pictures, name, size);
    // Who needs the picture sees the error; until then it isn't an unhandled one.
    loading.catch(() => undefined);
    return loading;
  };
  return async (items, next = []) => {
    const names = namesOf(items);
    const loaded = await Promise.all(names.map((name) => ahead.get(name) ?? load(name)));
    ahead = new Map(namesOf(next).map((name) => [name, load(name)]));
    const skipped = new Map<string, string>();
    const byName = new Map<string, Tensor>();
    for (const [i, name] of names.entries()) {
      const picture = loaded[i] as Tensor | DataError;
      if (!(picture instanceof DataError)) {
        byName.set(name, picture);
        continue;
      }
      leaveOut(name, picture);
      skipped.set(name, picture.message);
    }
    const present = items.filter(({ picture }) => byName.has(picture));
    if (present.length === 0) return { latents: undefined, skipped };
    const inputs = present.map(({ picture, mirrored }) => {
      const tensor = byName.get(picture) as Tensor;
      return mirrored ? mirrorRows(tensor) : tensor;
    });
    const noiseNames = present.map(({ picture, mirrored }) => (mirrored ? `${picture}.mirrored` : picture));
    const noise = isRandom ? pictureNoise(shapeOf(present.length), seed, noiseNames) : undefined;
    const work = autoencoder.encodeLatent(Tensor.concat(inputs), { latentChannels, noise });
    return { latents: await (signal === undefined ? work : unlessAborted(work, signal)), skipped };
  };
}

/** What happens to pictures that can't be read: each is told once, and the first one ends the work where none may be left out. */
function unreadablePictures({ skipErrors, onUnreadable }: PictureEncoding): (name: string, error: DataError) => void {
  const told = new Set<string>();
  return (name, error) => {
    if (!told.has(name)) onUnreadable?.(name, error);
    told.add(name);
    if (skipErrors) return;
    // A set without some of its pictures is another set: whoever wants that must say so.
    throw new DataError(error.message, {
      cause: error,
      hint: "Repair the file and go on with the same call, or leave such pictures out with skipErrors.",
    });
  };
}

/** The error of a picture that can't be read, in place of the picture; anything else is thrown. */
async function loadOrError(pictures: PictureSet, name: string, size: number): Promise<Tensor | DataError> {
  try {
    return await pictures.load(name, size);
  } catch (error) {
    if (error instanceof DataError) return error;
    throw error;
  }
}

/** [1, C, H, W] with left and right exchanged. */
function mirrorRows(x: Tensor): Tensor {
  const width = x.shape.at(-1) as number;
  const values = x.toFloat32().slice();
  for (let start = 0; start < values.length; start += width) values.subarray(start, start + width).reverse();
  return Tensor.float32(values, x.shape);
}

/**
 * Standard normal noise for a batch of latents, each from a stream that its picture's name chooses: it depends on neither order nor
 * batches.
 *
 * @param shape [N, C, S, S]
 * @param names one per picture
 */
export function pictureNoise(shape: readonly number[], seed: bigint, names: readonly string[]): Tensor {
  const out = new Float32Array(sizeOf(shape));
  const size = out.length / (shape[0] as number);
  names.forEach((name, index) => {
    createRandom(seed, name).normal(out.subarray(index * size, (index + 1) * size));
  });
  return Tensor.float32(out, shape);
}

/** Pictures that a scaling factor is measured on. */
const MEASURED_PICTURES = 256;
/** As many as published factors have. */
const DIGITS = 4;

interface MeasureOptions {
  /** The model's, subtracted from latents before they are scaled. */
  readonly shift: number;
  readonly batchSize: number;
  /** Called before each batch. */
  readonly onBatch: (done: number, total: number) => void;
}

/**
 * 1 / RMS of the shifted latents of up to 256 pictures spread over the set, rounded to the digits of published factors.
 *
 * @param names of the set's pictures
 * @throws DataError when none of them could be read
 */
export async function measureScalingFactor(
  encode: EncodePictures,
  names: readonly string[],
  { shift, batchSize, onBatch }: MeasureOptions,
): Promise<number> {
  const what = 'scalingFactor "measure"';
  const total = Math.min(MEASURED_PICTURES, names.length);
  const chosen = Array.from({ length: total }, (_, i) => names[Math.floor((i * names.length) / total)] as string);
  const statistics = latentStatistics();
  let found = false;
  for (let at = 0; at < total; at += batchSize) {
    onBatch(at, total);
    const items = chosen.slice(at, at + batchSize).map((picture) => ({ picture, mirrored: false }));
    const { latents } = await encode(items);
    if (latents === undefined) continue;
    found = true;
    statistics.add(scaleLatent(latents, { factor: 1, shift }, what));
  }
  if (!found) throw new DataError(`${what}: none of the pictures could be used`);
  const { rms, scalingFactor } = statistics.result();
  if (rms > 0) return Number(scalingFactor.toPrecision(DIGITS));
  throw new DataError(`${what}: all latents are 0`, { hint: "Check the model's weights." });
}

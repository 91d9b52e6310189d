/** Pictures of a set to latents, mirrored ones too, and how large latents are on average. */
import { DataError, Tensor } from "@dcae/core";
import { latentStatistics, scaleLatent } from "@dcae/core/internal";
import type { LatentItem, SkippedPictures } from "@dcae/diffusion";
import type { Codec } from "../codec.js";
import type { PictureSet } from "./picture-set.js";

/** Pictures that a scaling factor is measured on. */
const MEASURED_PICTURES = 256;
/** As many as published factors have. */
const DIGITS = 4;

/** Called with each picture that can't be read; what it throws ends the work. */
export type OnUnreadable = (picture: string, error: DataError) => void;

export interface EncodedPictures {
  /** [n, C, S, S] of the n items that could be read, not scaled; undefined where none could. */
  readonly latents: Tensor | undefined;
  readonly skipped: SkippedPictures;
}

/** The latents of some items. Each picture is read once, also where it is mirrored too. */
export async function encodePictures(
  codec: Codec,
  pictures: PictureSet,
  items: readonly Pick<LatentItem, "picture" | "mirrored">[],
  size: number,
  onUnreadable: OnUnreadable,
): Promise<EncodedPictures> {
  const names = [...new Set(items.map(({ picture }) => picture))];
  const loaded = await Promise.all(names.map((name) => loadOrError(pictures, name, size)));
  const skipped = new Map<string, string>();
  const byName = new Map<string, Tensor>();
  for (const [i, name] of names.entries()) {
    const picture = loaded[i] as Tensor | DataError;
    if (!(picture instanceof DataError)) {
      byName.set(name, picture);
      continue;
    }
    onUnreadable(name, picture);
    skipped.set(name, picture.message);
  }
  const present = items.filter(({ picture }) => byName.has(picture));
  if (present.length === 0) return { latents: undefined, skipped };
  const inputs = present.map(({ picture, mirrored }) => {
    const tensor = byName.get(picture) as Tensor;
    return mirrored ? mirrorRows(tensor) : tensor;
  });
  const latents = await codec.encode(
    Tensor.concat(inputs),
    present.map(({ picture, mirrored }) => (mirrored ? `${picture}.mirrored` : picture)),
  );
  return { latents, skipped };
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

export interface MeasureOptions {
  /** The model's, subtracted from latents before they are scaled. */
  readonly shift: number;
  /** Side of the pictures. */
  readonly size: number;
  readonly batchSize: number;
  /** Called before each batch. */
  readonly onBatch: (done: number, total: number) => void;
  readonly onUnreadable: OnUnreadable;
}

/**
 * 1 / RMS of the shifted latents of up to 256 pictures spread over the set, rounded to the digits of published factors.
 *
 * @throws DataError when none of them could be read
 */
export async function measureScalingFactor(
  codec: Codec,
  pictures: PictureSet,
  { shift, size, batchSize, onBatch, onUnreadable }: MeasureOptions,
): Promise<number> {
  const { names } = pictures;
  const total = Math.min(MEASURED_PICTURES, names.length);
  const chosen = Array.from({ length: total }, (_, i) => names[Math.floor((i * names.length) / total)] as string);
  const statistics = latentStatistics();
  let found = false;
  for (let at = 0; at < total; at += batchSize) {
    onBatch(at, total);
    const items = chosen.slice(at, at + batchSize).map((picture) => ({ picture, mirrored: false }));
    const { latents } = await encodePictures(codec, pictures, items, size, onUnreadable);
    if (latents === undefined) continue;
    found = true;
    statistics.add(scaleLatent(latents, { factor: 1, shift }, "--scaling-factor measure"));
  }
  if (!found) throw new DataError("--scaling-factor measure: none of the pictures could be used");
  const { rms, scalingFactor } = statistics.result();
  if (rms > 0) return Number(scalingFactor.toPrecision(DIGITS));
  throw new DataError("--scaling-factor measure: all latents are 0", { hint: "Check the model's weights." });
}

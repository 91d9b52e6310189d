/** Pictures of a set to latents, mirrored ones too, and how large latents are on average. */
import { Tensor } from "@dcae/core";
import type { LatentItem } from "@dcae/diffusion";
import type { Codec } from "../codec.js";
import { concatenate } from "../items/concatenate.js";
import type { PictureSet } from "./picture-set.js";

/** Pictures that a scaling factor is measured on. */
const MEASURED_PICTURES = 256;
/** As many as published factors have. */
const DIGITS = 4;

/** The latents of some items, [n, C, S, S], not scaled. Each picture is read once, also where it is mirrored too. */
export async function encodePictures(
  codec: Codec,
  pictures: PictureSet,
  items: readonly Pick<LatentItem, "picture" | "mirrored">[],
  size: number,
): Promise<Tensor> {
  const names = [...new Set(items.map(({ picture }) => picture))];
  const loaded = await Promise.all(names.map(async (name) => [name, await pictures.load(name, size)] as const));
  const byName = new Map(loaded);
  const inputs = items.map(({ picture, mirrored }) => {
    const tensor = byName.get(picture) as Tensor;
    return mirrored ? mirrorRows(tensor) : tensor;
  });
  return codec.encode(
    concatenate(inputs),
    items.map(({ picture, mirrored }) => (mirrored ? `${picture}.mirrored` : picture)),
  );
}

/** [1, C, H, W] with left and right exchanged. */
function mirrorRows(x: Tensor): Tensor {
  const width = x.shape.at(-1) as number;
  const values = x.toFloat32().slice();
  for (let start = 0; start < values.length; start += width) values.subarray(start, start + width).reverse();
  return Tensor.float32(values, x.shape);
}

export interface MeasureOptions {
  /** Side of the pictures. */
  readonly size: number;
  readonly batchSize: number;
  /** Called before each batch. */
  readonly onBatch: (done: number, total: number) => void;
}

/**
 * 1 / RMS of the latents of up to 256 pictures spread over the set, rounded to the digits of published factors.
 */
export async function measureScalingFactor(
  codec: Codec,
  pictures: PictureSet,
  { size, batchSize, onBatch }: MeasureOptions,
): Promise<number> {
  const { names } = pictures;
  const total = Math.min(MEASURED_PICTURES, names.length);
  const chosen = Array.from({ length: total }, (_, i) => names[Math.floor((i * names.length) / total)] as string);
  let [squares, values] = [0, 0];
  for (let at = 0; at < total; at += batchSize) {
    onBatch(at, total);
    const items = chosen.slice(at, at + batchSize).map((picture) => ({ picture, mirrored: false }));
    const latents = (await encodePictures(codec, pictures, items, size)).toFloat32();
    squares = latents.reduce((sum, value) => sum + value * value, squares);
    values += latents.length;
  }
  return Number(Math.sqrt(values / squares).toPrecision(DIGITS));
}

/** Latents times a factor, which is how diffusion models see them. */
export function scaleLatents(latents: Tensor, factor: number): Tensor {
  return Tensor.float32(
    latents.toFloat32().map((value) => value * factor),
    latents.shape,
  );
}

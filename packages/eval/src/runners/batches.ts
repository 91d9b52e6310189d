/** Pictures of a source in batches of one size. */
import type { Image } from "@dcae/core";
import type { Picture } from "../sources/picture-source.js";

export interface Batch {
  /** All of one size. */
  readonly pictures: readonly (Picture & { readonly image: Image })[];
  readonly width: number;
  readonly height: number;
}

/**
 * A batch of at most `most` that cuts `count` pictures into equal parts: programs have a fixed batch, and what the last
 * part lacks is computed for nothing.
 */
export function evenBatch(count: number, most: number): number {
  return Math.max(Math.ceil(count / Math.max(Math.ceil(count / most), 1)), 1);
}

/** What a piece of the stream was: a batch, or a picture that couldn't be read. */
export type BatchOrProblem = { readonly batch: Batch } | { readonly problem: Picture };

function hasImage(picture: Picture): picture is Batch["pictures"][number] {
  return picture.image !== undefined;
}

/**
 * The next `count` pictures of `pictures`, in order, in batches of at most `sizeOf(width, height)`. A batch ends where the
 * size of the pictures changes.
 */
export async function* batchesOf(
  pictures: AsyncIterator<Picture>,
  count: number,
  sizeOf: (width: number, height: number) => number,
): AsyncGenerator<BatchOrProblem> {
  let open: Batch["pictures"][number][] = [];
  const close = (): Batch => {
    const { width, height } = (open[0] as Batch["pictures"][number]).image;
    const batch = { pictures: open, width, height };
    open = [];
    return batch;
  };
  for (let taken = 0; taken < count; taken++) {
    const { value, done } = await pictures.next();
    if (done === true) break;
    const picture = value as Picture;
    if (!hasImage(picture)) {
      yield { problem: picture };
      continue;
    }
    const { width, height } = picture.image;
    const [first] = open;
    if (first !== undefined && (first.image.width !== width || first.image.height !== height)) yield { batch: close() };
    open.push(picture);
    if (open.length >= sizeOf(width, height)) yield { batch: close() };
  }
  if (open.length > 0) yield { batch: close() };
}

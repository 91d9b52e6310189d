/** Keeps some pictures of a source while they are read, for a report, so that samples aren't made twice. */
import type { Image } from "@dcae/core";
import type { PictureSource } from "@dcae/eval";

export interface KeptPictures {
  /** Gives the same pictures as the source. */
  readonly source: PictureSource;
  /** The pictures, in order; those that weren't read (an earlier run had done them) are read now. */
  pictures(): Promise<Image[]>;
}

/** `count` positions spread evenly over `total`, so that a folder with a subfolder per class shows many of them. */
export function spreadPositions(total: number, count: number): number[] {
  const shown = Math.min(count, total);
  return Array.from({ length: shown }, (_, i) => Math.floor((i * total) / shown));
}

/** @param positions in ascending order */
export function keepPictures(source: PictureSource, positions: readonly number[]): KeptPictures {
  const wanted = new Set(positions);
  const kept = new Map<number, Image | undefined>();

  async function* read(start: number) {
    for await (const picture of source.read(start)) {
      if (wanted.has(picture.index)) kept.set(picture.index, picture.image);
      yield picture;
    }
  }

  return {
    source: { ...source, read },
    async pictures() {
      const images: Image[] = [];
      for (const position of positions) {
        // What comes along with it may be wanted too.
        if (!kept.has(position)) for await (const { index } of read(position)) if (!wanted.has(index + 1)) break;
        const image = kept.get(position);
        if (image !== undefined) images.push(image);
      }
      return images;
    },
  };
}

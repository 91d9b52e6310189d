/** Keeps the first pictures of a source while they are read, for a report, so that samples aren't made twice. */
import type { Image } from "@dcae/core";
import type { PictureSource } from "@dcae/eval";

export interface KeptPictures {
  /** Gives the same pictures as the source. */
  readonly source: PictureSource;
  /** The first ones; those that weren't read (an earlier run had done them) are read now. */
  pictures(): Promise<Image[]>;
}

export function keepFirst(source: PictureSource, count: number): KeptPictures {
  const kept = new Map<number, Image | undefined>();
  const wanted = Math.min(count, source.count);

  async function* read(start: number) {
    for await (const picture of source.read(start)) {
      if (picture.index < wanted) kept.set(picture.index, picture.image);
      yield picture;
    }
  }

  return {
    source: { ...source, read },
    async pictures() {
      if (kept.size < wanted) {
        for await (const { index } of read(0)) if (index >= wanted - 1) break;
      }
      const ordered = [...kept].sort(([a], [b]) => a - b);
      return ordered.flatMap(([, image]) => (image === undefined ? [] : [image]));
    },
  };
}

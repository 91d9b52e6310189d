/** Pictures in memory or made one by one, as a sampler does. */
import { createHash } from "node:crypto";
import type { Image } from "@dcae/core";
import type { Picture, PictureSource } from "./picture-source.js";

export interface GeneratedOptions {
  readonly name: string;
  readonly count: number;
  /** Whatever decides which pictures come: seed, model, settings. */
  readonly fingerprint: string;
  /** The pictures from position `start`, one batch at a time, in any batch size. */
  readonly generate: (start: number) => AsyncIterable<readonly Image[]>;
}

/** Pictures that are generated while they are read. */
export function generatedSource({ name, count, fingerprint, generate }: GeneratedOptions): PictureSource {
  async function* read(start: number): AsyncGenerator<Picture> {
    let index = start;
    for await (const images of generate(start)) {
      for (const image of images) {
        if (index >= count) return;
        yield { index, name: String(index), image };
        index++;
      }
    }
  }
  return { name, count, fingerprint, setFingerprint: fingerprint, read };
}

/** Pictures of an array. */
export function memorySource(name: string, images: readonly Image[]): PictureSource {
  const hash = createHash("sha256");
  for (const { width, height, data } of images) hash.update(`${width}x${height}\n`).update(data);
  return generatedSource({
    name,
    count: images.length,
    fingerprint: hash.digest("hex"),
    generate: async function* (start) {
      yield images.slice(start);
    },
  });
}

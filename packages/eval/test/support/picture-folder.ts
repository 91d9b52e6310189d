/** Folders of small picture files. */
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Image, saveImage } from "@dcae/core";
import { formulaImage } from "@dcae/test-support/hash-fill";

/** Writes pictures as PNG under their names. */
export async function writePictures(folder: string, pictures: Readonly<Record<string, Image>>): Promise<string> {
  for (const [name, image] of Object.entries(pictures)) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    await saveImage(image, path);
  }
  return folder;
}

/** `count` formula pictures of one size, named 000.png, 001.png, ... */
export function formulaPictures(count: number, width: number, height: number, seed = 0): Record<string, Image> {
  const name = (i: number) => `${String(i).padStart(3, "0")}.png`;
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [name(i), formulaImage(width, height, seed + i)]));
}

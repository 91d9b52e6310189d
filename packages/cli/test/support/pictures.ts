/** Small pictures as files. */
import { join } from "node:path";
import { type Image, saveImage } from "@dcae/core";
import { drawScene } from "@dcae/train/scenes";

export function scene(width: number, height = width, seed = 1): Image {
  return drawScene({ width, height, seed, kind: "pebbles" });
}

/** Writes a scene and gives its path. */
export async function makePicture(folder: string, name: string, width = 32, height = width, seed = 1): Promise<string> {
  const path = join(folder, name);
  await saveImage(scene(width, height, seed), path);
  return path;
}

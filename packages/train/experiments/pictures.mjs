// The pictures of the experiments: procedural scenes of 256 x 256, drawn once into a folder; the sets share no seed.
import { existsSync } from "node:fs";
import { mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { saveImage } from "@dcae/core/image";
import { drawScene, SCENE_CLASSES } from "@dcae/train/scenes";

const SIDE = 256;
const SETS = {
  train: { seed: 0, count: 100 },
  test: { seed: 1_000_000, count: 4 },
  /** More of them, for losses that depend on what is drawn beside the picture. */
  held: { seed: 2_000_000, count: 20 },
};

/** The folder of a set, drawn if it isn't there. */
export async function pictures(folder, set) {
  const place = join(folder, set);
  if (existsSync(place)) return place;
  const { seed, count } = SETS[set];
  const partial = `${place}.partial`;
  for (const kind of SCENE_CLASSES) {
    await mkdir(join(partial, kind), { recursive: true });
    for (let i = 0; i < count; i++) {
      const scene = drawScene({ width: SIDE, height: SIDE, seed: seed + i, kind });
      await saveImage(scene, join(partial, kind, `${String(i).padStart(4, "0")}.png`));
    }
  }
  await rename(partial, place);
  return place;
}

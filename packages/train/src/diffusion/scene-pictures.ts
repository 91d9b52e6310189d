/** Procedural scenes as the pictures of a folder of latents, drawn when their turn comes. */
import { imageToTensor } from "@dcae/core";
import type { PictureSet } from "@dcae/diffusion";
import { drawScene, SCENE_CLASSES, type SceneClass } from "../scenes/draw-scene.js";

/**
 * Scenes of all classes in equal shares, for `writeLatents`: number i is of class i mod 12 and drawn from `seed + i`, as those that
 * autoencoders are trained on.
 */
export function scenePictures(count: number, seed: bigint): PictureSet {
  const digits = String(count - 1).length;
  const numbers = Array.from({ length: count }, (_, i) => i);
  return {
    classes: SCENE_CLASSES,
    names: SCENE_CLASSES.flatMap((kind, label) =>
      numbers
        .filter((i) => i % SCENE_CLASSES.length === label)
        .map((i) => `${kind}/${String(i).padStart(digits, "0")}`),
    ),
    leftOut: new Map(),
    decoding: null,
    seed,
    files: async () => null,
    async load(name, size) {
      const [kind, number] = name.split("/") as [SceneClass, string];
      return imageToTensor(drawScene({ width: size, height: size, seed: seed + BigInt(number), kind }));
    },
  };
}

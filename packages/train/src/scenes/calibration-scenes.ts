/** Four scenes on which the ranges of a model's activations are observed where no pictures are at hand. */
import type { Tensor } from "@dcae/core/graph";
import { imageToTensor } from "@dcae/core/image";
import { drawScene, type SceneClass } from "./draw-scene.js";

const SCENES: readonly SceneClass[] = ["city", "flowers", "page", "mountains"];
const SIZE = 256;

/** Pictures with edges, texture, text and plain sky, [1, 3, 256, 256] each, for `calibrate` and the option `calibration` of core. */
export function calibrationScenes(): Tensor[] {
  return SCENES.map((kind, seed) => imageToTensor(drawScene({ width: SIZE, height: SIZE, seed, kind })));
}

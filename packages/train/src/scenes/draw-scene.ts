/**
 * Pictures without files: procedural scenes for demos, tests and small trainings, from a seed.
 *
 * Each class is a painter that draws with its own random stream: skies, ranges of mountains, text, cloth and so on, with
 * edges and texture at every scale, since that is what an autoencoder has to carry. Only + - * / and square roots on
 * IEEE doubles and integer hashes are used, so a seed gives the same bytes on every platform. A scene has the same
 * composition at every size; small sizes leave out the octaves of texture that they can't show.
 */

import { ConfigError, createRandom, type Random, type Tensor } from "@dcae/core/graph";
import { createImage, type Image, imageToTensor } from "@dcae/core/image";
import { type Canvas, createCanvas, develop } from "./canvas.js";
import { city } from "./city.js";
import { dunes } from "./dunes.js";
import { fabric } from "./fabric.js";
import { flowers } from "./flowers.js";
import { forest } from "./forest.js";
import { mountains } from "./mountains.js";
import { page } from "./page.js";
import { pebbles } from "./pebbles.js";
import { planet } from "./planet.js";
import { seascape } from "./seascape.js";
import { stillLife } from "./still-life.js";
import { wall } from "./wall.js";

const painters = {
  city,
  dunes,
  fabric,
  flowers,
  forest,
  mountains,
  page,
  pebbles,
  planet,
  seascape,
  "still-life": stillLife,
  wall,
} satisfies Record<string, (canvas: Canvas, random: Random) => void>;

/** The classes of scenes. */
export type SceneClass = keyof typeof painters;

/** The classes in the order of their labels: the index of a class is its label. New classes are added at the end. */
export const SCENE_CLASSES = Object.keys(painters) as readonly SceneClass[];

/** Which scene, and how large. */
export interface SceneOptions {
  /** Pixels; any positive integers. */
  readonly width: number;
  readonly height: number;
  /** Integer in [0, 2^64). */
  readonly seed: number | bigint;
  /** What to draw; by default the seed decides. */
  readonly kind?: SceneClass;
}

/**
 * Draws a scene. About 30 ms for 256x256 on one core, in proportion to the number of pixels.
 *
 * @throws ShapeError when a size isn't a positive integer, ConfigError when the seed or the class is invalid
 * @example
 * ```ts
 * import { saveImage } from "@dcae/core";
 * import { drawScene } from "@dcae/train/scenes";
 *
 * await saveImage(drawScene({ width: 256, height: 256, seed: 7, kind: "seascape" }), "seascape.png");
 * ```
 */
export function drawScene(options: SceneOptions): Image {
  const { width, height, seed } = options;
  createImage(width, height); // checks the size
  const kind =
    options.kind ?? (SCENE_CLASSES[createRandom(seed, "scene").nextInteger(SCENE_CLASSES.length)] as SceneClass);
  if (!Object.hasOwn(painters, kind)) {
    throw new ConfigError(`drawScene: unknown class "${kind}", expected one of ${SCENE_CLASSES.join(", ")}`);
  }
  const random = createRandom(seed, `scene/${kind}`);
  const canvas = createCanvas(width, height);
  painters[kind](canvas, random);
  return develop(canvas, random.nextUint32());
}

const CALIBRATION_SCENES: readonly SceneClass[] = ["city", "flowers", "page", "mountains"];
const CALIBRATION_SIZE = 256;

/**
 * Four pictures with edges, texture, text and plain sky, [1, 3, 256, 256] each: for `calibrate` and the option `calibration` of core,
 * where no pictures are at hand.
 */
export function calibrationScenes(): Tensor[] {
  return CALIBRATION_SCENES.map((kind, seed) =>
    imageToTensor(drawScene({ width: CALIBRATION_SIZE, height: CALIBRATION_SIZE, seed, kind })),
  );
}

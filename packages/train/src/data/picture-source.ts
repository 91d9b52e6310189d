/** Where pictures come from: a numbered list of recipes, of the files of a folder or of scenes (those of shards are in shard-source.ts). */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { ConfigError } from "@dcae/core/graph";
import { type LeftOut, listPictures } from "@dcae/core/image";
import { SCENE_CLASSES, type SceneClass } from "../scenes/draw-scene.js";
import type { PictureRecipe } from "./picture-recipe.js";

/** A source of pictures. */
export interface RecipeSource {
  /** For messages: folder, file pattern or "scenes". */
  readonly name: string;
  /** Pictures in one pass. */
  readonly count: number;
  /** Whether the order matters and is to be shuffled; scenes are independent draws already. */
  readonly ordered: boolean;
  /** Changes when the list changes: a saved position means nothing in another list. */
  readonly fingerprint: string;
  /** What a folder or its archives hold besides; for sources without files there is nothing of the kind. */
  readonly leftOut?: LeftOut;
  /**
   * How to make picture `index`.
   *
   * @throws DataError when its place in an archive can't be found
   */
  recipe(index: number): Promise<PictureRecipe>;
}

/**
 * The picture files of a folder and its subfolders: flat folders, and the ImageNet layout `<root>/<class>/<file>` alike. An autoencoder
 * has no use for labels, so the classes are only a part of the names.
 *
 * @throws DataError when the folder can't be read or has no pictures
 */
export async function fileSource(folder: string): Promise<RecipeSource> {
  const { files, leftOut } = await listPictures(folder);
  const hash = createHash("sha256");
  for (const file of files) hash.update(`${file}\n`);
  return {
    name: folder,
    count: files.length,
    ordered: true,
    fingerprint: hash.digest("hex"),
    leftOut,
    recipe: async (index) => ({ kind: "file", path: join(folder, files[index] as string) }),
  };
}

export interface SceneSourceOptions {
  /** First seed; scene i has seed + i. Default 0. */
  readonly seed?: number;
  /** Scenes in one pass: few give a fixed small data set. Default 2^31, in effect never the same one twice. */
  readonly count?: number;
  /** What is drawn, in equal shares. Default: all classes. */
  readonly classes?: readonly SceneClass[];
}

/** Training without data: procedural scenes, each from its own seed. */
export function sceneSource(options: SceneSourceOptions = {}): RecipeSource {
  const { seed = 0, count = 2 ** 31, classes = SCENE_CLASSES } = options;
  if (!(Number.isSafeInteger(seed) && seed >= 0) || !(Number.isSafeInteger(count) && count >= 1)) {
    throw new ConfigError(`scenes: seed ${seed} and count ${count} must be a non-negative and a positive integer`);
  }
  const unknown = classes.filter((name) => !SCENE_CLASSES.includes(name));
  if (classes.length === 0 || unknown.length > 0) {
    throw new ConfigError(`scenes: ${unknown.length > 0 ? `unknown classes ${unknown.join(", ")}` : "no classes"}`, {
      hint: `There are ${SCENE_CLASSES.join(", ")}.`,
    });
  }
  return {
    name: "scenes",
    count,
    ordered: false,
    fingerprint: `scenes ${seed} ${count} ${classes.join()}`,
    recipe: async (index) => ({
      kind: "scene",
      seed: seed + index,
      scene: classes[index % classes.length] as SceneClass,
    }),
  };
}

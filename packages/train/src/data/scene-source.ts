/** Training without data: procedural scenes, each from its own seed. */
import { ConfigError } from "@dcae/core/graph";
import { SCENE_CLASSES, type SceneClass } from "../scenes/draw-scene.js";
import type { RecipeSource } from "./recipe-source.js";

export interface SceneSourceOptions {
  /** First seed; scene i has seed + i. Default 0. */
  readonly seed?: number;
  /** Scenes in one pass: few give a fixed small data set. Default 2^31, in effect never the same one twice. */
  readonly count?: number;
  /** What is drawn, in equal shares. Default: all classes. */
  readonly classes?: readonly SceneClass[];
}

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

/** Public names of the procedural scenes: pictures without any data. */
export { calibrationScenes, drawScene, SCENE_CLASSES, type SceneClass, type SceneOptions } from "./draw-scene.js";

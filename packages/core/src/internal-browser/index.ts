/**
 * What the other packages' browser entries share with core's, whatever the platform that compiles them. Unstable, as all of
 * `@dcae/core/internal`.
 */
export {
  loadAutoencoder as loadWebAutoencoder,
  type WebLoadOptions,
} from "../autoencoders/pretrained.browser.js";
export { fetchModel } from "../checkpoint/hub/fetch-model.js";
export { type ModelSource, nameOfSource, WEB_FETCH_OPTIONS, type WebFetchOptions } from "../checkpoint/opened-model.js";
export {
  checkWebEngineWords,
  createEngine as createWebEngine,
  NOT_IN_BROWSERS,
  WEB_ENGINE_OPTIONS,
  type WebEngineOptions,
  webEngineOptions,
} from "../runtime/create-engine.browser.js";

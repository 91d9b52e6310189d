/** Public names of the image layer in browsers, which decode pictures themselves. */

export * from "./anywhere.js";
export { decodeImage, loadImage, type WebCanvas, type WebLoadImageOptions } from "./decode-image.browser.js";
export { toBlob, toCanvas } from "./to-blob.browser.js";

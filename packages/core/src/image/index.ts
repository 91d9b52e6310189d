/** Public names of the image layer: pictures in memory, and their files. */

export { decodeImage } from "./decode-image.node.js";
export { DEFAULT_MAX_PIXELS, type DecodeOptions, PILLOW_DECODE } from "./decode-options.js";
export { type EncodeImageOptions, encodeImage, type ImageFormat, imageFormatOf } from "./encode-image.node.js";
export type { ImageSource, LazyImage } from "./image-source.node.js";
export * from "./index.browser.js";
export { type ClassFolders, listClassFolders } from "./list-class-folders.node.js";
export { type FileListing, type ListFilesOptions, listFiles, listPictures } from "./list-files.node.js";
export { type LoadImageOptions, loadImage, loadImages } from "./load-image.node.js";
export { type SaveImageOptions, saveImage } from "./save-image.node.js";
export { loadSharp } from "./sharp.node.js";

/** Public names of the image layer: pictures in memory, and their files. */

export * from "./anywhere.js";
export {
  DEFAULT_MAX_PIXELS,
  type DecodeOptions,
  decodeImage,
  decodeRegion,
  type LoadImageOptions,
  loadImage,
  loadImages,
  PILLOW_DECODE,
  type ResizePlan,
  readImageSize,
} from "./decode-image.node.js";
export {
  type ClassFolders,
  type FileListing,
  type ListFilesOptions,
  listClassFolders,
  listFiles,
  listPictures,
} from "./list-files.node.js";
export {
  type EncodeImageOptions,
  encodeImage,
  type ImageFormat,
  imageFormatOf,
  type SaveImageOptions,
  saveImage,
  toBlob,
} from "./save-image.node.js";
export { loadSharp } from "./sharp.node.js";

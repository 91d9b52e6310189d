/** Public names of the image layer that work everywhere: pictures in memory, without files. */

export { differenceMap, psnr } from "./compare-images.js";
export { centerCropToMultiple, cropImage, dmCrop, topLeftCropToMultiple } from "./crop-image.js";
export {
  type FittedTensor,
  fitToMultiple,
  type Padding,
  reflectPad,
  SIZE_POLICIES,
  type SizePolicy,
} from "./fit-to-multiple.js";
export { type PictureFormat, pictureFormat } from "./formats/picture-format.js";
export { BLACK, createImage, type Image, imageFromRgba, type Rgb, WHITE } from "./image.js";
export {
  imagesToTensor,
  imageToTensor,
  type Rounding,
  type TensorToImagesOptions,
  tensorToImage,
  tensorToImages,
} from "./image-tensor.js";
export { type GridOptions, makeGrid, sideBySide } from "./make-grid.js";
export {
  addLeftOut,
  countLeftOut,
  describeLeftOut,
  endingOf,
  isPictureName,
  type LeftOut,
  leftOutKind,
  PICTURE_ENDINGS,
  whyIgnored,
} from "./picture-name.js";
export { type ResampleFilter, resizeImage } from "./resize-image.js";
export { resizePlanes } from "./resize-planes.js";

/** Public names of the image layer that work everywhere: pictures in memory, without files. */

export { differenceMap, type GridOptions, makeGrid, psnr, psnrOf, sideBySide } from "./compare-images.js";
export {
  centerCropToMultiple,
  dmCrop,
  type FittedTensor,
  fitToMultiple,
  type Padding,
  reflectPad,
  SIZE_POLICIES,
  type SizePolicy,
  topLeftCropToMultiple,
} from "./fit-to-multiple.js";
export { type PictureFormat, pictureFormat } from "./formats/picture-format.js";
export {
  BLACK,
  createImage,
  cropImage,
  type Image,
  imageFromRgba,
  imagesToTensor,
  imageToTensor,
  type Rgb,
  type Rounding,
  type TensorToImagesOptions,
  tensorToImage,
  tensorToImages,
  WHITE,
} from "./image.js";
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
export type { ImageSource, LazyImage, Picture, RgbaPixels } from "./picture-source.js";
export { type Region, type ResampleFilter, resizeImage, resizePlanes, resizeRegion } from "./resize-image.js";
export { type OnePicture, type ToBlobOptions, toImage } from "./to-image.js";

/** Public names of the image layer that work everywhere: pictures in memory, without files. */
export { centerCropToMultiple, cropImage, topLeftCropToMultiple } from "./crop-image.js";
export { differenceMap } from "./difference-map.js";
export { dmCrop } from "./dm-crop.js";
export { type FittedTensor, fitToMultiple, SIZE_POLICIES, type SizePolicy } from "./fit-to-multiple.js";
export { BLACK, createImage, type Image, imageFromRgba, type Rgb, WHITE } from "./image.js";
export { imagesToTensor, imageToTensor } from "./image-to-tensor.js";
export { addLeftOut, countLeftOut, describeLeftOut, type LeftOut, leftOutKind } from "./left-out.js";
export { type GridOptions, makeGrid, sideBySide } from "./make-grid.js";
export { type PictureFormat, pictureFormat } from "./picture-format.js";
export { endingOf, isPictureName, PICTURE_ENDINGS, whyIgnored } from "./picture-name.js";
export { psnr } from "./psnr.js";
export { type Padding, reflectPad } from "./reflect-pad.js";
export type { ResampleFilter } from "./resample-filter.js";
export { resizeImage } from "./resize-image.js";
export { resizePlanes } from "./resize-planes.js";
export { type Rounding, type TensorToImagesOptions, tensorToImage, tensorToImages } from "./tensor-to-images.js";

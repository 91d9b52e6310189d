/** Pictures as files in memory and on canvases, in a browser. */
import { checkOptions } from "../check-options.js";
import { DataError } from "../errors.js";
import { drawOnto, newCanvas, type WebCanvas } from "./decode-image.browser.js";
import { type OnePicture, resolveBlobOptions, TO_BLOB_OPTIONS, type ToBlobOptions, toImage } from "./to-image.js";

/**
 * Draws a picture onto a canvas, which takes its size.
 *
 * @param canvas on the page or beside it; by default a new one
 * @throws as `toImage`; DataError where the canvas can't be drawn on
 */
export function toCanvas<C extends WebCanvas = WebCanvas>(picture: OnePicture, canvas?: C): C {
  const image = toImage(picture);
  const target = canvas ?? (newCanvas(image.width, image.height) as C);
  drawOnto(target, image);
  return target;
}

type BlobCanvas = WebCanvas & {
  convertToBlob?(options: object): Promise<Blob>;
  toBlob?(done: (blob: Blob | null) => void, type: string, quality: number): void;
};

/**
 * The file of a picture, as a download or an upload takes it.
 *
 * @throws as `toImage`; ConfigError for wrong options, DataError where the browser doesn't write the type
 */
export async function toBlob(picture: OnePicture, options: ToBlobOptions = {}): Promise<Blob> {
  checkOptions("toBlob", options, TO_BLOB_OPTIONS);
  const { type, quality } = resolveBlobOptions(options);
  const canvas = toCanvas<BlobCanvas>(picture);
  const blob =
    canvas.convertToBlob !== undefined
      ? await canvas.convertToBlob({ type, quality: quality / 100 })
      : await new Promise<Blob | null>((resolve) => canvas.toBlob?.(resolve, type, quality / 100));
  // What a browser can't write it writes as PNG.
  if (blob === null || blob.type !== type) {
    throw new DataError(`toBlob: this browser doesn't write ${type}`, { hint: 'Use "image/png".' });
  }
  return blob;
}

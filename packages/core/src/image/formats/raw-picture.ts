/** What the small decoders give: 8-bit samples with three or four channels, and where they begin to read. */
import { DataError } from "../../errors.js";

/** Rows of interleaved RGB or RGBA, 8 bits per sample. */
export interface RawPicture {
  readonly width: number;
  readonly height: number;
  readonly channels: 3 | 4;
  readonly data: Uint8Array;
}

/**
 * Refuses sizes before memory is taken for them.
 *
 * @throws DataError for sides below 1 and for more pixels than allowed
 */
export function checkPictureSize(width: number, height: number, maxPixels: number): void {
  if (!(width >= 1 && height >= 1)) throw new DataError(`its size is ${width}x${height}`);
  if (width * height > maxPixels) {
    throw new DataError(`${width}x${height} has more pixels than the limit of ${maxPixels}`, {
      hint: "If the file can be trusted, raise maxPixels.",
    });
  }
}

/** @throws DataError always: the file ends before its pixels do */
export function endsEarly(): never {
  throw new DataError("the file ends before its pixels do");
}

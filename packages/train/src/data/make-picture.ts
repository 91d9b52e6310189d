/** From a recipe and a view to pixels: read, decode, cut, mirror. Runs in a worker thread or in the caller's. */
import { open } from "node:fs/promises";
import { promisify } from "node:util";
import { inflateRaw } from "node:zlib";
import { fileError } from "@dcae/core/checkpoint";
import { DataError, DcaeError, errorMessage } from "@dcae/core/graph";
import {
  createImage,
  cropImage,
  decodeImage,
  dmCrop,
  drawScene,
  type Image,
  PILLOW_DECODE,
  resizeImage,
} from "@dcae/core/image";
import { type PictureRecipe, type PictureView, recipeName } from "./picture-recipe.js";

const inflate = promisify(inflateRaw);

/** Members of archives above this are refused, as core refuses such files: 1 GiB. */
const MAX_MEMBER_BYTES = 2 ** 30;

/**
 * The square of a picture that training sees, RGB, `view.size` on each side.
 *
 * Files are decoded as the reference does (Pillow's plain conversion to RGB).
 *
 * @throws DataError naming the picture when it can't be read
 */
export async function makePicture(recipe: PictureRecipe, view: PictureView): Promise<Image> {
  const { size } = view;
  if (recipe.kind === "scene") {
    const { seed, scene } = recipe;
    const options = { width: size, height: size, seed };
    return mirror(drawScene(scene === undefined ? options : { ...options, kind: scene }), view.flip);
  }
  try {
    const image = await decodeImage(recipe.kind === "file" ? recipe.path : await readMember(recipe), PILLOW_DECODE);
    return mirror(cut(image, view), view.flip);
  } catch (error) {
    // Bytes of an archive have no name of their own.
    if (recipe.kind === "file" || !(error instanceof DataError)) throw error;
    throw new DataError(`${recipeName(recipe)}: ${error.message}`, { cause: error });
  }
}

type Member = Extract<PictureRecipe, { kind: "member" }>;

async function readMember({ archive, offset, storedSize, compression, size }: Member): Promise<Uint8Array> {
  if (storedSize > MAX_MEMBER_BYTES || size > MAX_MEMBER_BYTES) {
    throw new DataError(`${Math.max(size, storedSize)} bytes are too many for a picture`);
  }
  const stored = await readRange(archive, offset, storedSize);
  if (compression === "none") return stored;
  try {
    // One byte more than announced is enough to notice an archive that lies about its content.
    const bytes = await inflate(stored, { maxOutputLength: size + 1 });
    if (bytes.byteLength === size) return bytes;
    throw new DataError(`has ${bytes.byteLength} bytes, the archive announced ${size}`);
  } catch (error) {
    if (error instanceof DcaeError) throw error;
    throw new DataError(`can't be decompressed: ${errorMessage(error)}`, { cause: error });
  }
}

async function readRange(path: string, offset: number, length: number): Promise<Uint8Array> {
  try {
    const handle = await open(path, "r");
    try {
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length; ) {
        const { bytesRead } = await handle.read(bytes, done, length - done, offset + done);
        if (bytesRead === 0) throw new DataError(`the archive ends at byte ${offset + done}`);
        done += bytesRead;
      }
      return bytes;
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw fileError(error, path, "read");
  }
}

/** The view's square. A picture without room for a random one is scaled to it, as by DMCrop. */
function cut(image: Image, { size, corner, scale = 1 }: PictureView): Image {
  if (corner === null || image.width < size || image.height < size) return dmCrop(image, size);
  const scaled = shrink(image, size, scale);
  const place = (fraction: number, room: number) => Math.floor(fraction * (room + 1));
  const [x, y] = corner;
  return cropImage(scaled, place(x, scaled.width - size), place(y, scaled.height - size), size, size);
}

/** The picture at a scale between "the shorter side is `size`" (0) and its own (1), in equal ratios. */
function shrink(image: Image, size: number, scale: number): Image {
  if (scale >= 1) return image;
  const ratio = (size / Math.min(image.width, image.height)) ** (1 - scale);
  const side = (length: number) => Math.max(size, Math.round(length * ratio));
  return resizeImage(image, side(image.width), side(image.height));
}

function mirror(image: Image, flip: boolean): Image {
  if (!flip) return image;
  const { width, height, data } = image;
  const result = createImage(width, height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (y * width + x) * 3;
      result.data.set(data.subarray(from, from + 3), (y * width + width - 1 - x) * 3);
    }
  }
  return result;
}

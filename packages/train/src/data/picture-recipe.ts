/**
 * Pictures as data: a recipe says where a picture comes from, a view says which pixels of it training sees. Both can be sent to another
 * thread and written to a log, so that sources only list recipes and one function, `makePicture`, reads, decodes, cuts and mirrors,
 * in a worker thread or in the caller's.
 */

import { open } from "node:fs/promises";
import { createInflateRaw } from "node:zlib";
import { fileError } from "@dcae/core/checkpoint";
import { DataError, DcaeError, errorMessage } from "@dcae/core/graph";
import {
  createImage,
  decodeImage,
  decodeRegion,
  dmCrop,
  type Image,
  type LazyImage,
  PILLOW_DECODE,
  pictureFormat,
  type ResizePlan,
  resizeRegion,
} from "@dcae/core/image";
import { drawScene, type SceneClass } from "../scenes/draw-scene.js";

export type PictureRecipe =
  /** A picture file. */
  | { readonly kind: "file"; readonly path: string }
  /** Bytes of a larger file: a member of a tar or zip archive. */
  | {
      readonly kind: "member";
      readonly archive: string;
      readonly name: string;
      readonly offset: number;
      /** Bytes in the archive. */
      readonly storedSize: number;
      readonly compression: "none" | "deflate";
      /** Bytes of the member itself. */
      readonly size: number;
    }
  /** A scene drawn by the painters of scenes/; by default the seed decides what it shows. */
  | { readonly kind: "scene"; readonly seed: number; readonly scene?: SceneClass | undefined };

/** How the square that training sees is cut from a picture (training.md section 8). */
export const CROPS = ["center", "random", "center-or-random", "random-resized"] as const;
/**
 * "center" is DMCrop, the official default; "random" a random square at native scale; "random-resized" a random square of a
 * random scale, from native down to the whole shorter side (this project's choice, for small sets of large pictures).
 */
export type Crop = (typeof CROPS)[number];

/** The square of a picture that training sees; everything random about it is drawn already. */
export interface PictureView {
  /** Side in pixels. */
  readonly size: number;
  /** null: DMCrop. Otherwise the place of the square as fractions in [0, 1) of the room there is. */
  readonly corner: readonly [x: number, y: number] | null;
  /**
   * Scale of the picture before the square is cut, in [0, 1]: 0 shrinks the shorter side to `size`, 1 leaves the picture as it
   * is, and in between the scale grows geometrically. Has no meaning without a corner. Default 1.
   */
  readonly scale?: number;
  /** Mirrored left to right. */
  readonly flip: boolean;
  /** Default "exact". */
  readonly decode?: DecodeWay | undefined;
}

/** How files become the squares that training sees. */
export const DECODE_WAYS = ["exact", "fast"] as const;
/**
 * "exact" gives Pillow's pixels: the whole file is decoded, then resized by Pillow's filters. "fast" leaves both to libvips, which decodes JPEG
 * and WebP at a part of their size where the square is to be smaller, and computes nothing outside of it (`decodeRegion`): its pixels
 * differ by a few steps of 255, and damage in parts of a file that it needn't read isn't noticed.
 */
export type DecodeWay = (typeof DECODE_WAYS)[number];

/** How a message calls the picture. */
export function recipeName(recipe: PictureRecipe): string {
  switch (recipe.kind) {
    case "file":
      return recipe.path;
    case "member":
      return `${recipe.archive}: ${recipe.name}`;
    case "scene":
      return `scene ${recipe.scene ?? ""} ${recipe.seed}`.replace("  ", " ");
  }
}

/**
 * Compressed members may not inflate beyond this: 256 MiB. A megabyte of an archive can claim a thousand, and each thread that makes
 * pictures reads one such member at a time.
 */
const MAX_INFLATED_BYTES = 2 ** 28;

/**
 * The square of a picture that training sees, RGB, `view.size` on each side.
 *
 * Files are decoded as the reference does (Pillow's plain conversion to RGB), unless the view asks for the fast way.
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
  const file = pictureFile(recipe);
  const image =
    view.decode === "fast"
      ? dmCrop(await decodeRegion(file, PILLOW_DECODE, (width, height) => fastPlanOf(width, height, view)), size)
      : cut(await decodeImage(file, PILLOW_DECODE), view);
  return mirror(image, view.flip);
}

type Member = Extract<PictureRecipe, { kind: "member" }>;

/** The picture's file, wherever it lies. */
export function pictureFile(recipe: Exclude<PictureRecipe, { kind: "scene" }>): string | LazyImage {
  return recipe.kind === "file" ? recipe.path : memberSource(recipe);
}

function memberSource(member: Member): LazyImage {
  const { archive, offset, storedSize, compression, size } = member;
  const isStored = compression === "none";
  return {
    name: recipeName(member),
    size: isStored ? storedSize : storedSize + size,
    ...(isStored && { readStart: (bytes: number) => readRange(archive, offset, Math.min(bytes, storedSize)) }),
    async read() {
      if (!isStored && size > MAX_INFLATED_BYTES) {
        throw new DataError(`would inflate to ${size} bytes, the limit is ${MAX_INFLATED_BYTES}`, {
          hint: "Pictures are compressed already: store them in the archive as they are.",
        });
      }
      const stored = await readRange(archive, offset, storedSize);
      return isStored ? stored : inflateMember(stored, size);
    },
  };
}

/** Inflates piece by piece, so that what isn't a picture, or more than announced, ends early. */
async function inflateMember(stored: Uint8Array, size: number): Promise<Uint8Array> {
  const inflate = createInflateRaw();
  inflate.end(stored);
  const pieces: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const piece of inflate as AsyncIterable<Uint8Array>) {
      if (length === 0 && pictureFormat(piece) === undefined)
        throw new DataError("isn't a picture of a kind that is read");
      length += piece.byteLength;
      if (length > size) throw new DataError(`has more than the ${size} bytes that the archive announced`);
      pieces.push(piece);
    }
  } catch (error) {
    if (error instanceof DcaeError) throw error;
    throw new DataError(`can't be decompressed: ${errorMessage(error)}`, { cause: error });
  }
  if (length !== size) throw new DataError(`has ${length} bytes, the archive announced ${size}`);
  return Buffer.concat(pieces, length);
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
function cut(image: Image, view: PictureView): Image {
  if (isCentered(image, view)) return dmCrop(image, view.size);
  const { width, height, region } = planOf(image.width, image.height, view);
  return resizeRegion(image, width, height, region);
}

function isCentered(
  { width, height }: { readonly width: number; readonly height: number },
  view: PictureView,
): boolean {
  return view.corner === null || width < view.size || height < view.size;
}

/** A random view as one resizing, to a scale between "the shorter side is `size`" (0) and the picture's own (1) in equal ratios, and a square of that. */
function planOf(width: number, height: number, { size, corner, scale = 1 }: PictureView): ResizePlan {
  const ratio = (size / Math.min(width, height)) ** (1 - scale);
  const side = (length: number) => (scale < 1 ? Math.max(size, Math.round(length * ratio)) : length);
  const plan = { width: side(width), height: side(height) };
  const place = (room: number, fraction = 0) => Math.floor(fraction * (room + 1));
  const region = { left: place(plan.width - size, corner?.[0]), top: place(plan.height - size, corner?.[1]) };
  return { ...plan, region: { ...region, width: size, height: size } };
}

/** The same; of centered views DMCrop's halvings, whose rest it then does itself. */
function fastPlanOf(width: number, height: number, view: PictureView): ResizePlan {
  if (!isCentered({ width, height }, view)) return planOf(width, height, view);
  let plan = { width, height };
  while (plan.width >= 2 * view.size && plan.height >= 2 * view.size) {
    plan = { width: Math.floor(plan.width / 2), height: Math.floor(plan.height / 2) };
  }
  return { ...plan, region: { left: 0, top: 0, ...plan } };
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

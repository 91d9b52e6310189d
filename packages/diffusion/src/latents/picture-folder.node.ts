/** The pictures that latents are made of, and those in class folders on disk. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { DataError, loadImage, type Tensor } from "@dcae/core";
import { endingOf, type LeftOut, listClassFolders, PICTURE_ENDINGS, PILLOW_DECODE } from "@dcae/core/image";
import { type LatentManifest, pictureFile } from "./latent-manifest.js";

/** Labelled pictures for `writeLatents`, from a folder or drawn. */
export interface PictureSet {
  /** Names of the classes; labels are positions in this list. */
  readonly classes: readonly string[];
  /** `<class>/<name>`, without ending, class by class. */
  readonly names: readonly string[];
  /** What the folder holds besides; empty where there is none. */
  readonly leftOut: LeftOut;
  /** How files become pixels, as manifests note it; null where there are no files. */
  readonly decoding: string | null;
  /** What pictures are drawn from; null where they aren't. */
  readonly seed: bigint | null;
  /** A picture as float32 [1, 3, size, size] in [-1, 1]. @throws DataError naming the file */
  load(name: string, size: number): Promise<Tensor>;
  /** Size and time of each picture's file, as manifests note them (null: it can't be reached); null where there are no files. */
  files(): Promise<LatentManifest["files"]>;
}

/**
 * Pictures in class folders, found by the endings of their names and read as the reference reads data sets, like those of training
 * and evaluation: what EXIF and color profiles ask for isn't applied.
 *
 * @param folder `<class>/.../<picture>`
 * @throws DataError when a class has none, or two pictures would share a latent
 */
export async function pictureFolder(folder: string): Promise<PictureSet> {
  const { classes, files, leftOut } = await listClassFolders(folder, PICTURE_ENDINGS);
  const paths = new Map<string, string>();
  for (const file of files) {
    const name = file.slice(0, file.length - endingOf(file).length);
    const other = paths.get(name);
    if (other !== undefined) {
      throw new DataError(`${join(folder, other)} and ${file} would share one latent, ${name}`, {
        hint: "Rename one of them: latents are named like their pictures, without the ending.",
      });
    }
    paths.set(name, file);
  }
  return {
    classes,
    names: [...paths.keys()],
    leftOut,
    decoding: PILLOW_DECODE.orientation,
    seed: null,
    load: (name, size) => loadImage(join(folder, paths.get(name) as string), { ...PILLOW_DECODE, size }),
    files: () => noteFiles([...paths.values()].map((file) => join(folder, file))),
  };
}

/** Files that are asked for their size at once. */
const STATS = 64;

/** A file that can't be reached is noticed when its picture's turn comes, as others that can't be read. */
async function noteFiles(paths: readonly string[]): Promise<(string | null)[]> {
  const noted: (string | null)[] = [];
  for (let at = 0; at < paths.length; at += STATS) {
    const part = paths.slice(at, at + STATS).map((path) => stat(path).then(pictureFile, () => null));
    noted.push(...(await Promise.all(part)));
  }
  return noted;
}

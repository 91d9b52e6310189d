/**
 * The pictures that latents are made of: class folders on disk, or procedural scenes that are drawn when their turn comes.
 */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { DataError, imageToTensor, loadImage, type Tensor } from "@dcae/core";
import { endingOf, type LeftOut, listClassFolders, PICTURE_ENDINGS, PILLOW_DECODE } from "@dcae/core/image";
import { type LatentManifest, pictureFile } from "@dcae/diffusion";
import { drawScene, SCENE_CLASSES, type SceneClass } from "@dcae/train/scenes";

/** What `--data` means procedural scenes. */
export const SYNTHETIC = "synthetic";

export interface PictureSet {
  /** Names of the classes; labels are positions in this list. */
  readonly classes: readonly string[];
  /** `<class>/<name>`, without ending, class by class. */
  readonly names: readonly string[];
  /** What the folder holds besides; empty for scenes. */
  readonly leftOut: LeftOut;
  /** A picture as float32 [1, 3, size, size] in [-1, 1]. @throws DataError naming the file */
  load(name: string, size: number): Promise<Tensor>;
  /** Size and time of each picture's file, as manifests note them (null: it can't be reached); null for scenes, which have none. */
  files(): Promise<LatentManifest["files"]>;
  /** How files become pixels, as manifests note it; null for scenes. */
  readonly decoding: string | null;
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

/**
 * Pictures in class folders, found by the endings of their names and read as the reference reads data sets, like those of `train`
 * and `eval`: what EXIF and color profiles ask for isn't applied.
 *
 * @throws DataError when a class has none, or two pictures would share a latent
 */
export async function folderPictures(folder: string): Promise<PictureSet> {
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
    load: (name, size) => loadImage(join(folder, paths.get(name) as string), { ...PILLOW_DECODE, size }),
    decoding: PILLOW_DECODE.orientation,
    files: () => noteFiles([...paths.values()].map((file) => join(folder, file))),
  };
}

/**
 * Scenes of all classes in equal shares: number i is of class i mod 12 and drawn from `seed + i`, as those that autoencoders
 * are trained on.
 */
export function scenePictures(count: number, seed: bigint): PictureSet {
  const digits = String(count - 1).length;
  const numbers = Array.from({ length: count }, (_, i) => i);
  return {
    classes: SCENE_CLASSES,
    names: SCENE_CLASSES.flatMap((kind, label) =>
      numbers
        .filter((i) => i % SCENE_CLASSES.length === label)
        .map((i) => `${kind}/${String(i).padStart(digits, "0")}`),
    ),
    leftOut: new Map(),
    decoding: null,
    files: async () => null,
    async load(name, size) {
      const [kind, number] = name.split("/") as [SceneClass, string];
      return imageToTensor(drawScene({ width: size, height: size, seed: seed + BigInt(number), kind }));
    },
  };
}

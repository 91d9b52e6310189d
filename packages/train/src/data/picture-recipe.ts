/**
 * Pictures as data: a recipe says where a picture comes from, a view says which pixels of it training sees.
 *
 * Both can be sent to another thread and written to a log, so that sources only list recipes and one function
 * (make-picture.ts) turns them into pixels, wherever it runs.
 */
import type { SceneClass } from "../scenes/draw-scene.js";

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
}

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

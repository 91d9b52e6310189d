/** Where pictures come from: a numbered list of recipes. */
import type { LeftOut } from "@dcae/core/image";
import type { PictureRecipe } from "./picture-recipe.js";

export interface RecipeSource {
  /** For messages: folder, file pattern or "scenes". */
  readonly name: string;
  /** Pictures in one pass. */
  readonly count: number;
  /** Whether the order matters and is to be shuffled; scenes are independent draws already. */
  readonly ordered: boolean;
  /** Changes when the list changes: a saved position means nothing in another list. */
  readonly fingerprint: string;
  /** What a folder or its archives hold besides; for sources without files there is nothing of the kind. */
  readonly leftOut?: LeftOut;
  /**
   * How to make picture `index`.
   *
   * @throws DataError when its place in an archive can't be found
   */
  recipe(index: number): Promise<PictureRecipe>;
}

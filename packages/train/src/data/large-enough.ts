/**
 * A source without the pictures that are too small for what they are to train (training.md section 8): the official trainer drops those
 * with a side below its largest resolution.
 *
 * Sizes are read when the source is opened, so that its count, its epochs and its share of a mixture are those of the pictures that
 * are left. Of files and stored members only the start is read, unless a header is longer. What can't be read stays in: the loader names it when its turn comes.
 */

import { createHash } from "node:crypto";
import { DataError } from "@dcae/core/graph";
import { readImageSize } from "@dcae/core/image";
import { formatCount, plural } from "@dcae/core/internal";
import { pictureFile, recipeName } from "./picture-recipe.js";
import type { RecipeSource } from "./picture-source.js";

export interface LargeEnough {
  readonly source: RecipeSource;
  /** Names of those that are left out. */
  readonly small: readonly string[];
}

/** Sizes that are read at one time. */
const AT_ONCE = 64;

/** The picture's name if a side of it is below `minSide`. */
async function smallName(source: RecipeSource, index: number, minSide: number): Promise<string | undefined> {
  try {
    const recipe = await source.recipe(index);
    if (recipe.kind === "scene") return undefined;
    const { width, height } = await readImageSize(pictureFile(recipe));
    return Math.min(width, height) < minSide ? recipeName(recipe) : undefined;
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
}

/**
 * The pictures of `source` whose sides all have at least `minSide` pixels. Scenes are drawn at any size: leave them as they are.
 *
 * @throws DataError when none is left
 */
export async function largeEnough(source: RecipeSource, minSide: number): Promise<LargeEnough> {
  const kept: number[] = [];
  const small: string[] = [];
  for (let start = 0; start < source.count; start += AT_ONCE) {
    const indices = Array.from({ length: Math.min(AT_ONCE, source.count - start) }, (_, i) => start + i);
    const names = await Promise.all(indices.map((index) => smallName(source, index, minSide)));
    indices.forEach((index, i) => void (names[i] === undefined ? kept.push(index) : small.push(names[i])));
  }
  if (small.length === 0) return { source, small };
  if (kept.length === 0) {
    throw new DataError(
      `${source.name}: none of its ${plural(source.count, "picture")} has both sides of ${minSide} pixels or more`,
      {
        hint: "Lower `data.minSide`, or train at a smaller size.",
      },
    );
  }
  const hash = createHash("sha256").update(`${source.fingerprint} ${minSide}\n`).update(Float64Array.from(kept));
  return {
    source: {
      ...source,
      count: kept.length,
      fingerprint: hash.digest("hex"),
      recipe: (index) => source.recipe(kept[index] as number),
    },
    small,
  };
}

const NAMED = 5;

/** What was left out, in words. */
export function describeSmall(small: readonly string[], minSide: number): string {
  const names = small.slice(0, NAMED).join(", ");
  const more = small.length > NAMED ? ` and ${formatCount(small.length - NAMED)} more` : "";
  const count = plural(small.length, "picture");
  return `left out ${count} with a side below ${minSide} pixels: ${names}${more}`;
}

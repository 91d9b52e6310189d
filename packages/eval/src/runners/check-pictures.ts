/** What a run says about pictures that couldn't be used. */
import { DataError } from "@dcae/core";
import type { PictureSource } from "../sources/picture-source.js";

/** A picture that couldn't be read, or doesn't fit the model or a metric. */
export interface Unusable {
  readonly name: string;
  readonly problem: string;
}

/** Thrown where no picture of a source can be used. */
export class NoPicturesError extends DataError {}

/** The error of a run in which no picture could be used. */
export function nothingUsable(source: PictureSource, unusable: readonly Unusable[]): NoPicturesError {
  const [first] = unusable;
  const example = first === undefined ? "" : `; the first one is ${first.name}: ${first.problem}`;
  return new NoPicturesError(`${source.name}: none of its ${source.count} pictures could be used${example}`);
}

/** What a reader must know when two sets of pictures have different sizes; undefined where they aren't known. */
export function sizeWarnings(
  samples: Readonly<Record<string, number>>,
  reference: Readonly<Record<string, number>> | undefined,
): string[] {
  const [own, other] = [samples, reference ?? {}].map((sizes) => Object.keys(sizes).sort());
  if (own?.length === 0 || other?.length === 0 || own?.join() === other?.join()) return [];
  const shown = (list: readonly string[] = []) => `${list.slice(0, 5).join(", ")}${list.length > 5 ? ", ..." : ""}`;
  return [
    `the samples have ${shown(own)} pixels, the pictures of the reference ${shown(other)}; compare sets of one size only`,
  ];
}

/** What a reader must know about the pictures. */
export function pictureWarnings(
  source: PictureSource,
  unusable: readonly Unusable[],
  sizes: Readonly<Record<string, number>>,
): string[] {
  const warnings: string[] = [];
  if (unusable.length > 0) {
    const shown = unusable.slice(0, 5).map(({ name }) => name);
    const more = unusable.length > shown.length ? `, and ${unusable.length - shown.length} more` : "";
    warnings.push(
      `${unusable.length} of ${source.count} pictures couldn't be used and were left out: ${shown.join(", ")}${more}`,
    );
  }
  const kinds = Object.keys(sizes);
  if (kinds.length > 1) {
    warnings.push(
      `${source.name}: the pictures have ${kinds.length} different sizes (${kinds.slice(0, 5).join(", ")}${kinds.length > 5 ? ", ..." : ""}); ` +
        "published protocols use one",
    );
  }
  return warnings;
}

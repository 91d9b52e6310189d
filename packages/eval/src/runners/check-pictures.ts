/** What a run says about pictures that couldn't be used. */
import { DataError } from "@dcae/core";
import type { PictureSource } from "../sources/picture-source.js";

/** A picture that couldn't be read. */
export interface Unreadable {
  readonly name: string;
  readonly problem: string;
}

/** The error of a run in which no picture could be read. */
export function nothingRead(source: PictureSource, unreadable: readonly Unreadable[]): DataError {
  const [first] = unreadable;
  const example = first === undefined ? "" : `; the first one is ${first.name}: ${first.problem}`;
  return new DataError(`${source.name}: none of its ${source.count} pictures could be read${example}`);
}

/** What a reader must know about the pictures. */
export function pictureWarnings(
  source: PictureSource,
  unreadable: readonly Unreadable[],
  sizes: Readonly<Record<string, number>>,
): string[] {
  const warnings: string[] = [];
  if (unreadable.length > 0) {
    const shown = unreadable.slice(0, 5).map(({ name }) => name);
    const more = unreadable.length > shown.length ? `, and ${unreadable.length - shown.length} more` : "";
    warnings.push(
      `${unreadable.length} of ${source.count} pictures couldn't be read and were left out: ${shown.join(", ")}${more}`,
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

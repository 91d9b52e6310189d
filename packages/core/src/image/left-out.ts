/** What a listing passes over, counted by kind, so that nobody wonders where files went. */
import { endingOf, whyIgnored } from "./picture-name.js";

/** Number of entries by kind, as in "hidden", ".txt" or "without ending". */
export type LeftOut = ReadonlyMap<string, number>;

/** Counts one more of a kind. */
export function countLeftOut(counts: Map<string, number>, kind: string): void {
  counts.set(kind, (counts.get(kind) ?? 0) + 1);
}

/** The kind of a file that isn't wanted: hidden, macOS's, or its ending. */
export function leftOutKind(path: string): string {
  for (const part of path.split("/")) {
    const ignored = whyIgnored(part);
    if (ignored !== undefined) return ignored;
  }
  return endingOf(path) || "without ending";
}

/** The counts of several listings together. */
export function addLeftOut(all: readonly LeftOut[]): LeftOut {
  const sum = new Map<string, number>();
  for (const counts of all) for (const [kind, count] of counts) sum.set(kind, (sum.get(kind) ?? 0) + count);
  return sum;
}

/** Kinds beyond these are counted together. */
const NAMED_KINDS = 6;

/** As in "3 .txt, 2 hidden", the most frequent first; undefined when nothing was left out. */
export function describeLeftOut(leftOut: LeftOut): string | undefined {
  if (leftOut.size === 0) return undefined;
  const kinds = [...leftOut].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  const named = kinds.slice(0, NAMED_KINDS).map(([kind, count]) => `${count} ${kind}`);
  const others = kinds.slice(NAMED_KINDS).reduce((sum, [, count]) => sum + count, 0);
  return [...named, ...(others > 0 ? [`${others} of other kinds`] : [])].join(", ");
}

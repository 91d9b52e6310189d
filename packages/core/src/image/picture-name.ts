/**
 * Which names are those of pictures, which files of a folder or an archive nobody means, and what a listing passes over, counted by
 * kind, so that nobody wonders where files went: one answer for all commands.
 *
 * The endings are those that decodeImage reads: the official folder data sets' (training.md section 8) among them.
 */

/** Endings of pictures, lower case, with their dot. */
export const PICTURE_ENDINGS: readonly string[] = [
  ...[".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".avif", ".tif", ".tiff", ".gif", ".svg"],
  ...[".bmp", ".ppm", ".pgm", ".pbm", ".pnm"],
];

const endings: ReadonlySet<string> = new Set(PICTURE_ENDINGS);

/** The ending of a path's last part with its dot, lower case; "" when it has none. */
export function endingOf(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const dot = name.lastIndexOf(".");
  return dot <= 0 ? "" : name.slice(dot).toLowerCase();
}

/** Whether a file of that name is taken for a picture. */
export function isPictureName(path: string): boolean {
  return endings.has(endingOf(path));
}

/**
 * Why a file or folder of that name isn't looked at, or undefined when it is: names that begin with a dot are hidden, and
 * `__MACOSX` and `._x` are what macOS writes beside files (resource forks, AppleDouble), with the endings of pictures.
 */
export function whyIgnored(name: string): "hidden" | "macOS metadata" | undefined {
  if (name === "__MACOSX" || name.startsWith("._")) return "macOS metadata";
  return name.startsWith(".") && name !== "." && name !== ".." ? "hidden" : undefined;
}

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

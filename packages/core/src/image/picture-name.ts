/**
 * Which names are those of pictures, and which files of a folder or an archive nobody means: one answer for all commands.
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

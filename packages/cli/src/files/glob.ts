/**
 * Patterns of file names that no shell has expanded: quoted ones, and all of them on Windows. `*` and `?` within a name, `**` for any
 * folders, `[a-c]`, `{png,jpg}`. Names that begin with a dot are found only by patterns that say so.
 */
import { readdir } from "node:fs/promises";
import { join, sep } from "node:path";

const MAGIC = /[*?[{]/;

export function isGlob(path: string): boolean {
  return MAGIC.test(path);
}

/**
 * The paths that a pattern stands for, by name.
 *
 * @param separator of paths in the pattern, beside "/"
 */
export async function expandGlob(pattern: string, separator: string = sep): Promise<string[]> {
  const parts = alternatives(pattern.replaceAll(separator, "/")).map((text) => text.split("/"));
  const found = new Set<string>();
  for (const names of parts) {
    const magic = names.findIndex(isGlob);
    const fixed = magic === -1 ? names.length - 1 : magic;
    const base = names.slice(0, fixed).join("/");
    await walk(base === "" && fixed > 0 ? "/" : base, names.slice(fixed), found);
  }
  return [...found].sort();
}

async function walk(folder: string, names: readonly string[], found: Set<string>): Promise<void> {
  const [name, ...rest] = names;
  if (name === undefined) return;
  // No folder, or none that may be read, has nothing in it.
  const entries = await readdir(folder === "" ? "." : folder, { withFileTypes: true }).catch(() => []);
  const matches = name === "**" ? (text: string) => !text.startsWith(".") : matcher(name);
  if (name === "**") await walk(folder, rest.length === 0 ? ["*"] : rest, found);
  for (const entry of entries) {
    if (!matches(entry.name)) continue;
    const path = folder === "" ? entry.name : join(folder, entry.name);
    const isFolder = entry.isDirectory() || entry.isSymbolicLink();
    if (name === "**") {
      // Links could lead in circles.
      if (entry.isDirectory()) await walk(path, names, found);
    } else if (rest.length === 0) found.add(path);
    else if (isFolder) await walk(path, rest, found);
  }
}

/** Whether a name fits one part of a pattern. */
function matcher(part: string): (name: string) => boolean {
  const source = part.replace(/\*|\?|\[!?[^\]]+\]|[\\^$.*+?()[\]{}|/]/g, (token) => {
    if (token === "*") return ".*";
    if (token === "?") return ".";
    if (token.length > 1) return token.replace("[!", "[^").replaceAll("\\", "\\\\");
    return `\\${token}`;
  });
  const pattern = new RegExp(`^${source}$`, "su");
  return (name) => (part.startsWith(".") || !name.startsWith(".")) && pattern.test(name);
}

/** "a.{png,jpg}" is "a.png" and "a.jpg"; braces may be nested. */
function alternatives(pattern: string): string[] {
  const close = pattern.indexOf("}");
  const open = pattern.lastIndexOf("{", close);
  if (close === -1 || open === -1) return [pattern];
  return pattern
    .slice(open + 1, close)
    .split(",")
    .flatMap((choice) => alternatives(pattern.slice(0, open) + choice + pattern.slice(close + 1)));
}

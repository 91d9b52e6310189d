// What users can import: every entry of every published package, with its source.
import { join } from "node:path";
import { publishedPackages } from "./workspace.mjs";

/**
 * Every entry, `internal` ones too: `path` is what users import, `name` has the condition behind it where the entry is for browsers
 * alone, `source` is the file that it is built of.
 */
export function allEntries() {
  return publishedPackages().flatMap(({ folder, manifest }) =>
    Object.entries(manifest.exports).flatMap(([subpath, target]) =>
      sourcesOf(target).map(({ condition, built }) => ({
        path: manifest.name + subpath.slice(1),
        name: manifest.name + subpath.slice(1) + condition,
        source: join(folder, built.replace("./dist/", "src/").replace(/\.js$/, ".ts")),
      })),
    ),
  );
}

/** Those that are promised to users: all but the internal ones. */
export function publicEntries() {
  return allEntries().filter(({ path }) => !/\/internal(-browser)?$/.test(path));
}

/** The built files of an entry of "exports", with the condition that chooses them; none for assets. */
function sourcesOf(target) {
  if (typeof target !== "object") return [];
  const plain = target.default;
  const browser = target.browser ? [{ condition: " (browser)", built: target.browser.default }] : [];
  return [...browser, { condition: "", built: plain.default ?? plain }];
}

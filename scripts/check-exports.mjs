// What users can import: a name means one thing, whatever package or entry it is imported from; the two platforms of one entry may
// each have their own. What isn't internal says what it is, each entry has an example, and so has each class of a package's root.
// Prints how many names each entry has: values, and types alone. Reads the sources, so nothing needs to be built.
//
// "--list ENTRY" prints the names of one entry, as in `node scripts/check-exports.mjs --list @dcae/core`.
import { existsSync } from "node:fs";
import { join, relative } from "node:path";
import ts from "typescript";
import { allEntries, publicEntries } from "./public-entries.mjs";
import { fail, root } from "./workspace.mjs";

const entries = allEntries();
const missing = entries.filter(({ source }) => !existsSync(source));
if (missing.length > 0)
  fail(missing.map(({ name, source }) => `${name}: there is no ${relative(root, source)}`).join("\n"));

const { options } = ts.parseJsonConfigFileContent(
  ts.readConfigFile(join(root, "tsconfig.paths.json"), ts.sys.readFile).config,
  ts.sys,
  root,
);
const program = ts.createProgram([...new Set(entries.map(({ source }) => source))], options);
const checker = program.getTypeChecker();

/** The names of an entry with what they stand for, through re-exports. */
function exportsOf(source) {
  const module = checker.getSymbolAtLocation(program.getSourceFile(source));
  return checker.getExportsOfModule(module).map((symbol) => ({
    name: symbol.name,
    target: symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol,
  }));
}

/** Where something is declared, as in "packages/core/src/errors.ts". */
const placeOf = (target) => relative(root, target.declarations?.[0]?.getSourceFile().fileName ?? "nowhere");

const meanings = new Map();
const listed = process.argv[2] === "--list" ? process.argv[3] : undefined;
for (const { name: entry, path, source } of entries) {
  const names = exportsOf(source);
  const platforms = entries.filter((other) => other.path === path && other.name !== entry);
  const theirs = new Set(platforms.flatMap((other) => exportsOf(other.source).map(({ name }) => name)));
  const values = names.filter(({ target }) => (target.flags & ts.SymbolFlags.Value) !== 0).length;
  if (listed === undefined) console.log(`${entry}: ${values} values, ${names.length - values} types`);
  if (listed === entry) console.log(names.map(({ name }) => name).join("\n"));
  for (const { name, target } of names) {
    const places = meanings.get(name) ?? new Map();
    // Node's stands for both: what differs by platform only is imported from one place.
    if (path !== entry && theirs.has(name)) continue;
    places.set(placeOf(target), entry);
    meanings.set(name, places);
  }
}

const ambiguous = [...meanings].filter(([, places]) => places.size > 1);
const wrong = ambiguous.map(([name, places]) => {
  const where = [...places].map(([place, entry]) => `${place} (${entry})`).join(" and ");
  return `${name} means two things: ${where}. Rename one, or let one import the other.`;
});

const hasExample = ({ target }) => target.getJsDocTags(checker).some(({ name }) => name === "example");
for (const { name: entry, path, source } of publicEntries()) {
  const names = exportsOf(source);
  for (const { name, target } of names) {
    if (target.getDocumentationComment(checker).length === 0)
      wrong.push(`${name} of ${entry} doesn't say what it is: write a comment in ${placeOf(target)}.`);
  }
  // A browser's entry differs in what it takes, not in how it is used.
  if (entry !== path) continue;
  if (!names.some(hasExample)) wrong.push(`${entry} has no @example.`);
  const isRoot = path.split("/").length === 2;
  const classes = names.filter(
    ({ name, target }) => isRoot && target.flags & ts.SymbolFlags.Class && !/Error$/.test(name),
  );
  for (const { name, target } of classes.filter((named) => !hasExample(named)))
    wrong.push(`${name} of ${entry} has no @example: write one in ${placeOf(target)}.`);
}
if (wrong.length > 0) fail([...new Set(wrong)].join("\n"));

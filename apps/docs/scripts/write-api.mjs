// The API reference: a page for every entry of every published package, from the docstrings of its sources. "api/" is generated and
// ignored by git; it is written anew before each build of the site. Whatever typedoc warns of (a link of a docstring that leads
// nowhere, a parameter that isn't there) is an error.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Application, Converter, ReflectionKind } from "typedoc";
import { publicEntries } from "../../../scripts/public-entries.mjs";
import { root } from "../../../scripts/workspace.mjs";

const folder = join(dirname(dirname(fileURLToPath(import.meta.url))), "api");

/**
 * The entries in the order of the reference, each with the name of its page. A declaration stands on the page of the first entry that
 * has it, so that Node's come first, and the page of a browser's entry says what differs.
 */
export function apiPages() {
  return publicEntries()
    .sort((a, b) => Number(a.name !== a.path) - Number(b.name !== b.path))
    .map((entry) => ({
      ...entry,
      page: entry.name.replace("@dcae/", "").replace(" (browser)", "-browser").replace("/", "-"),
    }));
}

/** The comment at the head of an entry says what it is for. */
function introduction(source) {
  const [, text] = readFileSync(source, "utf8").match(/^\/\*\*(.*?)\*\//s) ?? [];
  if (text === undefined) throw new Error(`${source} doesn't begin with a comment that says what it is for`);
  return text
    .split("\n")
    .map((line) => line.replace(/^\s*\* ?/, ""))
    .join("\n")
    .trim();
}

/** The site's names of headings have dashes where typedoc's links have underscores. */
function siteAnchors(text) {
  return text.replace(/(?<=\]\([^()]*#)[a-z0-9_-]+(?=\))/g, (anchor) => anchor.replaceAll("_", "-"));
}

/** What another page explains becomes one line instead of a heading each. */
function shortReferences(text) {
  const [own, references] = text.split(/^## References\n/m);
  if (references === undefined) return text;
  const links = [...references.matchAll(/^Re-exports (\[.*?\]\(.*?\))$/gm)].map(([, link]) => link);
  const renamed = references.match(/^Renames and re-exports/m);
  if (renamed !== null) throw new Error("an entry renames what it exports");
  return `${own}## Also here\n\n${links.join(", ")}\n`;
}

export async function writeApi() {
  const pages = apiPages();
  const app = await Application.bootstrapWithPlugins({
    plugin: ["typedoc-plugin-markdown"],
    entryPoints: pages.map(({ source }) => source),
    tsconfig: join(root, "tsconfig.paths.json"),
    basePath: root,
    readme: "none",
    excludePrivate: true,
    excludeInternal: true,
    excludeExternals: true,
    disableSources: true,
    disableGit: true,
    // The type checker has a check of its own.
    skipErrorChecking: true,
    treatWarningsAsErrors: true,
    logLevel: "Warn",
    sort: ["kind", "alphabetical"],
    router: "module",
    hidePageHeader: true,
    hideBreadcrumbs: true,
    hidePageTitle: true,
    useCodeBlocks: true,
    sanitizeComments: true,
    parametersFormat: "table",
    interfacePropertiesFormat: "table",
    propertyMembersFormat: "table",
    typeDeclarationFormat: "table",
    typeAliasPropertiesFormat: "table",
    out: folder,
  });
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (context, reflection) => {
    if (!reflection.kindOf(ReflectionKind.Module)) return;
    const file = context.getSymbolFromReflection(reflection)?.declarations?.[0]?.getSourceFile().fileName;
    const entry = pages.find(({ source }) => source === file);
    if (entry === undefined) throw new Error(`an unknown entry: ${reflection.name}`);
    reflection.name = entry.page;
  });
  // Where a member comes from inside of the package helps nobody who uses it.
  app.converter.on(Converter.EVENT_RESOLVE_END, (context) => {
    for (const reflection of Object.values(context.project.reflections)) {
      delete reflection.inheritedFrom;
      delete reflection.overwrites;
      delete reflection.implementationOf;
      // What can't be imported isn't worth a heading.
      const known = reflection.extendedTypes?.filter((type) => type.type !== "reference" || type.reflection);
      if (known !== undefined) reflection.extendedTypes = known.length > 0 ? known : undefined;
    }
  });
  const project = await app.convert();
  if (project === undefined) throw new Error("typedoc couldn't read the packages");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await app.generateOutputs(project);
  if (app.logger.hasErrors() || app.logger.hasWarnings()) throw new Error("typedoc found faults, see above");

  rmSync(join(folder, "README.md"));
  for (const { page, name, source } of pages) {
    const file = join(folder, `${page}.md`);
    const text = `# ${name}\n\n${introduction(source)}\n\n${shortReferences(siteAnchors(readFileSync(file, "utf8")))}`;
    writeFileSync(file, `---\noutline: [2, 3]\npageClass: api\n---\n\n${text}`);
  }
  const rows = pages.map(
    ({ page, name, source }) =>
      `| [${name}](./${page}.md) | ${introduction(source).split(/\n\n/)[0].replaceAll("\n", " ")} |`,
  );
  writeFileSync(
    join(folder, "index.md"),
    `# API reference\n\nEvery entry that can be imported, from the comments of the sources. What isn't here may change with any version.\n\n| import | what it has |\n| --- | --- |\n${rows.join("\n")}\n`,
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await writeApi();

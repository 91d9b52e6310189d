// The examples of the API reference (`@example` of the docstrings), those of the READMEs and of the documentation: they compile, and those
// that need no network, no browser and no long time run. Such ones begin a block with "ts no-run". Blocks of Markdown without an import
// are parts of others, and are left alone. Needs the built packages.
//
// "node scripts/check-examples.mjs NAME" takes the examples alone whose place contains NAME.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { transformSync } from "esbuild";
import ts from "typescript";
import { fail, publishedPackages, root } from "./workspace.mjs";

const [, , chosen = ""] = process.argv;
const LIMIT_MS = 180_000;

const sources = publishedPackages().flatMap(({ folder }) => filesBelow(join(folder, "src"), ".ts"));
const pages = [
  join(root, "README.md"),
  ...publishedPackages().map(({ folder }) => join(folder, "README.md")),
  ...readdirSync(join(root, "apps/docs"))
    .filter((file) => file.endsWith(".md"))
    .map((file) => join(root, "apps/docs", file)),
];
const examples = [
  ...sources.flatMap((file) => examplesOf(file, / \* @example\n \* ```ts( no-run)?\n(.*?)\n \* ```/gs, / \* ?/)),
  ...pages.flatMap((file) => examplesOf(file, /^```ts( no-run)?\n(.*?)^```/gms, null)),
].filter(({ place }) => place.includes(chosen));
if (examples.length === 0) fail("there are no examples");

function filesBelow(folder, ending) {
  return readdirSync(folder, { recursive: true })
    .filter((file) => file.endsWith(ending))
    .map((file) => join(folder, file));
}

/** The examples in a file, with the place of each; `margin` stands in front of every line. */
function examplesOf(file, pattern, margin) {
  const text = readFileSync(file, "utf8");
  return [...text.matchAll(pattern)].flatMap((match) => {
    const [, noRun, block] = match;
    const code = margin === null ? block : block.replaceAll(new RegExp(`^${margin.source}`, "gm"), "");
    if (!/^import /m.test(code)) return [];
    const line = text.slice(0, match.index).split("\n").length;
    return [{ place: `${relative(root, file)}:${line}`, code, runs: noRun === undefined }];
  });
}

// In the folder of the command line, which sees all packages.
const workspace = mkdtempSync(join(root, "packages", "cli", ".examples-"));
const data = mkdtempSync(join(tmpdir(), "dcae-examples-"));
try {
  const wrong = compile();
  if (wrong.length > 0) fail(wrong.join("\n"));
  await drawPictures();
  process.chdir(data);
  let ran = 0;
  for (const [index, { place, code, runs }] of examples.entries()) {
    if (!runs) continue;
    const file = join(workspace, `${index}.mjs`);
    writeFileSync(file, transformSync(code, { loader: "ts", format: "esm", target: "node20" }).code);
    const log = console.log;
    try {
      console.log = () => {};
      await within(LIMIT_MS, import(pathToFileURL(file).href));
      ran++;
    } catch (error) {
      fail(`${place}: the example ends with ${error instanceof Error ? error.stack : error}`);
    } finally {
      console.log = log;
    }
  }
  console.log(`${examples.length} examples compile, ${ran} of them ran`);
} finally {
  process.chdir(root);
  rmSync(workspace, { recursive: true, force: true });
  rmSync(data, { recursive: true, force: true });
}

/** Fails where `work` takes longer: such an example is for reading, not for running along. */
async function within(milliseconds, work) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`longer than ${milliseconds / 1000} s: mark it "no-run"`)), milliseconds);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What the compiler says of the examples, as lines. */
function compile() {
  const files = examples.map(({ code }, index) => {
    const file = join(workspace, `${index}.ts`);
    // The marks of a module, so that names of different examples don't meet.
    writeFileSync(file, `${code}\nexport {};\n`);
    return file;
  });
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile(join(root, "tsconfig.paths.json"), ts.sys.readFile).config,
    ts.sys,
    root,
  );
  const lib = ["lib.es2022.d.ts", "lib.dom.d.ts", "lib.dom.iterable.d.ts"];
  const program = ts.createProgram(files, {
    ...options,
    lib,
    // As strict as users' projects usually are.
    noUncheckedIndexedAccess: false,
    exactOptionalPropertyTypes: false,
    noUnusedLocals: false,
    noUnusedParameters: false,
  });
  return files.flatMap((file, index) =>
    ts.getPreEmitDiagnostics(program, program.getSourceFile(file)).map(({ messageText, start }) => {
      const { line } = program.getSourceFile(file).getLineAndCharacterOfPosition(start ?? 0);
      const text = ts.flattenDiagnosticMessageText(messageText, " ");
      return `${examples[index].place}: line ${line + 1} of the example: ${text}`;
    }),
  );
}

/** What the examples read: "cat.jpg", "dog.png", and class folders of "photos". */
async function drawPictures() {
  // Packages are found by name from there.
  const file = join(workspace, "packages.mjs");
  writeFileSync(file, 'export { saveImage } from "@dcae/core";\nexport { drawScene } from "@dcae/train/scenes";\n');
  const { drawScene, saveImage } = await import(pathToFileURL(file).href);
  const draw = (kind, seed) => drawScene({ width: 256, height: 256, seed, kind });
  await saveImage(draw("still-life", 1), join(data, "cat.jpg"));
  await saveImage(draw("planet", 2), join(data, "dog.png"));
  for (const kind of ["forest", "city"]) {
    mkdirSync(join(data, "photos", kind), { recursive: true });
    for (const seed of [1, 2]) await saveImage(draw(kind, seed), join(data, "photos", kind, `${seed}.png`));
  }
}

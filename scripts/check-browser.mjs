// What the package.json of core and diffusion export under the "browser" condition, with every chunk and entry of each other that it
// reaches, must not import a Node built-in or a Node-only package: a bundler would fail on it, or pull in a native binary. Dynamic
// imports count too, since bundlers follow them.
import { readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative } from "node:path";
import { fail, publishedPackages, root } from "./workspace.mjs";

const nodeOnly = ["onnxruntime-node", "sharp", "@huggingface"];
const importPattern = /(?:^|[;\s}])(?:import|export)\b[^"'()]*?["']([^"']+)["']|\bimport\s*\(\s*["']([^"']+)["']\s*\)/g;

const packages = publishedPackages();
/** The file of an entry in a browser. */
const browserFile = (target) => target.browser?.default ?? target.default?.default ?? target.default;

const seen = new Set();
const wrong = [];
for (const name of ["core", "diffusion"]) {
  const { folder, manifest } = packages.find((entry) => entry.name === name);
  const entries = Object.values(manifest.exports).filter((target) => target.browser !== undefined);
  if (entries.length === 0) fail(`package.json of ${name} names no browser entry`);
  for (const target of entries) visit(join(folder, browserFile(target)));
  console.log(`${manifest.name}: ${entries.length} browser entries`);
}
if (wrong.length > 0) fail(wrong.join("\n"));
console.log(`${seen.size} files, no Node import`);

function visit(file) {
  if (seen.has(file)) return;
  seen.add(file);
  for (const match of readFileSync(file, "utf8").matchAll(importPattern)) {
    const specifier = match[1] ?? match[2];
    if (specifier.startsWith(".")) visit(join(dirname(file), specifier));
    else if (/^@dcae\/[\w/-]+$/.test(specifier)) visit(fileOf(specifier));
    else if (isNodeOnly(specifier)) wrong.push(`${relative(root, file)} imports ${specifier}, which no browser has`);
  }
}

/** The file that a package of this project has for a specifier in a browser. */
function fileOf(specifier) {
  const [scope, name, ...rest] = specifier.split("/");
  const { folder, manifest } = packages.find((entry) => entry.manifest.name === `${scope}/${name}`);
  return join(folder, browserFile(manifest.exports[[".", ...rest].join("/")]));
}

function isNodeOnly(specifier) {
  const [name] = specifier.split("/");
  return specifier.startsWith("node:") || builtinModules.includes(specifier) || nodeOnly.includes(name);
}

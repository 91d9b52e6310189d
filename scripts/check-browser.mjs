// What core's package.json exports under the "browser" condition, with every chunk it reaches, must not import a Node
// built-in or a Node-only package: a bundler would fail on it, or pull in a native binary. Dynamic imports count too,
// since bundlers follow them.
import { readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative } from "node:path";
import { fail, root } from "./workspace.mjs";

const core = join(root, "packages", "core");
const dist = join(core, "dist");
const nodeOnly = ["onnxruntime-node", "sharp"];
const importPattern = /(?:^|[;\s}])(?:import|export)\b[^"'()]*?["']([^"']+)["']|\bimport\s*\(\s*["']([^"']+)["']\s*\)/g;

const seen = new Set();
const wrong = [];
const { exports } = JSON.parse(readFileSync(join(core, "package.json"), "utf8"));
const entries = Object.values(exports).flatMap((target) => target.browser?.default ?? []);
for (const entry of entries) visit(join(core, entry));
if (entries.length === 0) fail("package.json of core names no browser entry");
if (wrong.length > 0) fail(wrong.join("\n"));
console.log(`${entries.length} browser entries, ${seen.size} files, no Node import`);

function visit(file) {
  if (seen.has(file)) return;
  seen.add(file);
  for (const match of readFileSync(file, "utf8").matchAll(importPattern)) {
    const specifier = match[1] ?? match[2];
    if (specifier.startsWith(".")) visit(join(dirname(file), specifier));
    else if (isNodeOnly(specifier)) wrong.push(`${relative(dist, file)} imports ${specifier}, which no browser has`);
  }
}

function isNodeOnly(specifier) {
  const [name] = specifier.split("/");
  return specifier.startsWith("node:") || builtinModules.includes(specifier) || nodeOnly.includes(name);
}

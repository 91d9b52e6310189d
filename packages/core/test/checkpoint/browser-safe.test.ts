/** Modules without `.node` in their name run in a browser: they may not lead to anything that needs Node. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const folder = fileURLToPath(new URL("../../src/checkpoint/", import.meta.url));
const modules = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter(
  (name) => name.endsWith(".ts") && !name.endsWith(".node.ts") && name !== "index.ts",
);

it.each(modules)("%s", (name) => {
  const source = readFileSync(`${folder}${name}`, "utf8");
  const imports = Array.from(source.matchAll(/\bfrom "([^"]+)"|\bimport\("([^"]+)"\)/g), ([, a, b]) => a ?? b ?? "");
  expect(imports.filter((path) => /^node:|\.node\.js$|^@huggingface\/hub$/.test(path))).toEqual([]);
});

// Publishes the packages of a tag, "node scripts/publish.mjs v0.1.0": what is built and isn't on npm yet, those before that others
// depend on. For .github/workflows/release.yml, whose identity npm trusts; `npm run release:dry` shows what would be published.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pack, tarballOf } from "./packed.mjs";
import { fail, publishedPackages, run, start } from "./workspace.mjs";

const [tag] = process.argv.slice(2);
if (!/^v\d/.test(tag ?? "")) fail("usage: node scripts/publish.mjs v<version>");
const version = tag.slice(1);
const published = publishedPackages();
for (const { manifest } of published) {
  if (manifest.version !== version) fail(`${manifest.name} has version ${manifest.version}, the tag is ${tag}`);
}

const folder = mkdtempSync(join(tmpdir(), "dcae-publish-"));
try {
  for (const entry of byDependency(published)) {
    const { name } = entry.manifest;
    if (start("npm", ["view", `${name}@${version}`, "version"], { encoding: "utf8" }).stdout?.trim() === version) {
      console.log(`${name}@${version} is on npm already`);
      continue;
    }
    if (pack(entry, folder) !== 0) fail(`can't pack ${name}`);
    const args = ["publish", tarballOf(entry.name, folder), "--access", "public"];
    if (run("npm", args) !== 0) fail(`${name} isn't published; those before it are: run this again`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Those first that depend on none that comes later. */
function byDependency(entries) {
  const names = new Set(entries.map(({ manifest }) => manifest.name));
  const done = new Set();
  const isReady = ({ manifest }) =>
    Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies }).every(
      (name) => !names.has(name) || done.has(name),
    );
  const order = [];
  while (order.length < entries.length) {
    const next = entries.find((entry) => !done.has(entry.manifest.name) && isReady(entry));
    if (next === undefined) fail("packages depend on each other in a circle");
    done.add(next.manifest.name);
    order.push(next);
  }
  return order;
}

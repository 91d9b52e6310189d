// What the packed packages hold: node scripts/check-tarballs.mjs FOLDER (scripts/packed.mjs). Licenses, also of the models that come
// along; nothing of tests, no native libraries, no paths of the machine that built them. Prints the sizes.
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { gunzipSync } from "node:zlib";
import { formatMegabytes, tarballOf } from "./packed.mjs";
import { fail, publishedPackages, root } from "./workspace.mjs";

/** What no package holds. */
const UNWANTED = /(^|\/)(test|tests|golden|bench|node_modules|src)\/|\.(node|tgz|tsbuildinfo|test\.js)$|(^|\/)\.env/;
/** What every package holds. */
const WANTED = ["LICENSE", "README.md", "package.json"];
const TEXT = /\.(js|mjs|ts|json|map|md)$/;

const wrong = [];
for (const { name } of publishedPackages()) {
  const tarball = tarballOf(name, process.argv[2] ?? fail("usage: node scripts/check-tarballs.mjs FOLDER"));
  const packed = readFileSync(tarball);
  const files = readTar(gunzipSync(packed));
  const report = (problem) => wrong.push(`${name}: ${problem}`);
  for (const path of WANTED) if (!files.has(path)) report(`lacks ${path}`);
  for (const [path, content] of files) {
    if (UNWANTED.test(path)) report(`${path} doesn't belong into a package`);
    if (TEXT.test(path)) checkText(path, content.toString("utf8"), report);
  }
  const manifest = JSON.parse(files.get("package.json").toString("utf8"));
  for (const field of ["license", "repository", "homepage", "bugs", "engines", "publishConfig"]) {
    if (manifest[field] === undefined) report(`package.json has no ${field}`);
  }
  if (JSON.stringify(manifest).includes("workspace:"))
    report("package.json has a version that only this workspace knows");
  const scripts = ["preinstall", "install", "postinstall"].filter((script) => manifest.scripts?.[script] !== undefined);
  if (scripts.length > 0) report(`runs ${scripts.join(", ")} on users' machines`);
  for (const path of [...files.keys()].filter((path) => /^assets\/[^/]+\/model\.safetensors$/.test(path))) {
    const card = path.replace(/[^/]+$/, "README.md");
    if (!/\b(Apache-2\.0|apache-2\.0)\b/.test(files.get(card)?.toString("utf8") ?? ""))
      report(`${card} names no license`);
  }
  const unpacked = [...files.values()].reduce((sum, content) => sum + content.length, 0);
  console.log(`${name}: ${files.size} files, ${formatMegabytes(packed.length)}, unpacked ${formatMegabytes(unpacked)}`);
}
if (wrong.length > 0) fail(wrong.join("\n"));

function checkText(path, text, report) {
  for (const place of [root, homedir()]) {
    if (place.length > 1 && text.includes(`${place}/`)) report(`${path} names ${place}`);
  }
  if (!path.endsWith(".map")) return;
  const absolute = JSON.parse(text).sources.find((source) => /^(\/|[A-Za-z]:|file:)/.test(source));
  if (absolute !== undefined) report(`${path} has an absolute path: ${absolute}`);
}

/** The files of a tar archive as npm writes them: names without their "package/", contents. */
function readTar(bytes) {
  const files = new Map();
  let longName;
  for (let at = 0; at + 512 <= bytes.length; ) {
    const text = (start, length) => bytes.toString("utf8", at + start, at + start + length).replace(/\0.*$/s, "");
    const name = text(0, 100);
    if (name === "") break;
    const size = Number.parseInt(text(124, 12).trim(), 8);
    const type = text(156, 1);
    const content = bytes.subarray(at + 512, at + 512 + size);
    if (type === "x") longName = /\d+ path=([^\n]*)\n/.exec(content.toString("utf8"))?.[1];
    if (type === "0" || type === "") {
      const prefix = text(345, 155);
      files.set((longName ?? (prefix === "" ? name : `${prefix}/${name}`)).replace(/^[^/]+\//, ""), content);
      longName = undefined;
    }
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}

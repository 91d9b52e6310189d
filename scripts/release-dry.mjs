// `npm run release:dry`: what a release would publish, without publishing it. Builds, packs, looks into the packages, installs them in an
// empty project and runs the README's first lines there; prints the versions that the changesets would give, and sizes.
import { existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatMegabytes, inEmptyProject, install, pack, runFirstProgram, tarballs } from "./packed.mjs";
import { fail, packageManager, prepare, publishedPackages, root, run, start, turbo } from "./workspace.mjs";

prepare();
if (turbo("build", "--filter=./packages/*", "--output-logs=errors-only") !== 0) fail("build failed");
const packed = mkdtempSync(join(tmpdir(), "dcae-release-"));
const node = (script, ...args) => run(process.execPath, [join(root, "scripts", script), ...args]);
try {
  for (const published of publishedPackages()) if (pack(published, packed) !== 0) fail(`can't pack ${published.name}`);
  if (node("check-tarballs.mjs", packed) !== 0) fail("the packages aren't as they should be");
  await inEmptyProject((project) => {
    install(project, Object.values(tarballs(packed)));
    const { status, stderr } = runFirstProgram(project);
    if (status !== 0) fail(`the first lines of README.md end with ${status}\n${stderr}`);
    console.log("the first lines of README.md ran");
    const folders = packagesIn(join(project, "node_modules"));
    console.log(`installed: ${formatMegabytes(sizeOf(join(project, "node_modules")))} in ${folders.length} packages`);
    const largest = folders.map((folder) => ({ folder, size: sizeOf(folder) })).sort((a, b) => b.size - a.size);
    for (const { folder, size } of largest.slice(0, 5)) {
      console.log(`  ${folder.slice(folder.indexOf("node_modules") + 13)}: ${formatMegabytes(size)}`);
    }
  });
  const plan = join(packed, "plan.json");
  start("npx", ["--yes", packageManager, "exec", "changeset", "status", "--output", plan], { cwd: root });
  if (!existsSync(plan)) console.log("no changesets: the versions stay as they are");
  else {
    for (const { name, oldVersion, newVersion } of JSON.parse(readFileSync(plan, "utf8")).releases) {
      if (oldVersion !== newVersion) console.log(`${name}: ${oldVersion} becomes ${newVersion}`);
    }
  }
} finally {
  rmSync(packed, { recursive: true, force: true });
}

function sizeOf(path) {
  const status = lstatSync(path);
  if (!status.isDirectory()) return status.size;
  return readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0);
}

/** Folders of packages, those of scopes too. */
function packagesIn(folder) {
  return readdirSync(folder)
    .filter((name) => !name.startsWith("."))
    .flatMap((name) => (name.startsWith("@") ? packagesIn(join(folder, name)) : [join(folder, name)]));
}

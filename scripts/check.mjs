// Everything that is checked besides the tests: lint, types, published packages, browser entry, docs.
// Each check counts as one, but for those whose programs can't be had here, which are named; the outcome goes to
// .test-results/checks.json for scripts/summarize.mjs.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pack, tarballOf } from "./packed.mjs";
import { resultsFolder } from "./test-results.mjs";
import { packages, publishedPackages, root, run, turbo } from "./workspace.mjs";

const bin = (name) => join(root, "node_modules", ".bin", name);
const outcome = {};

/** Status of a check that can't be made on this machine, as automake has it. */
const SKIPPED = 77;

function check(name, action) {
  console.log(`\ncheck: ${name}`);
  const status = action();
  outcome[name] = status === SKIPPED ? "skipped" : status === 0;
  console.log(`check: ${name}: ${status === SKIPPED ? "skipped" : outcome[name] ? "passed" : "FAILED"}`);
}

check("lint", () => run(bin("biome"), ["ci", "--colors=off", "--error-on-warnings", "."]));

for (const { name } of packages()) {
  check(`types of ${name}`, () => run(bin("tsc"), ["-p", join("packages", name), "--noEmit"]));
}

check("exported names", () => run(process.execPath, [join(root, "scripts", "check-exports.mjs")]));

// The tests built without declarations.
check("build with declarations", () => turbo("build", "--filter=./packages/*", "--output-logs=errors-only"));

// What is checked is what would be published: the packed file, not the working tree.
const packed = mkdtempSync(join(tmpdir(), "dcae-pack-"));
try {
  for (const published of publishedPackages()) {
    const { name, manifest } = published;
    check(`pack ${name}`, () => pack(published, packed));
    const tarball = tarballOf(name, packed);
    check(`publint ${name}`, () => run(bin("publint"), ["run", tarball, "--strict"]));
    // A package that is only a command has no importable entry for attw to judge.
    if (manifest.exports["."]) check(`attw ${name}`, () => run(bin("attw"), [tarball, "--profile", "esm-only"]));
  }
  check("contents of the packages", () => run(process.execPath, [join(root, "scripts", "check-tarballs.mjs"), packed]));
  check("example programs", () => run(process.execPath, [join(root, "scripts", "run-examples.mjs"), packed]));
  for (const manager of ["npm", "pnpm", "yarn"]) {
    check(`install with ${manager}`, () =>
      run(process.execPath, [join(root, "scripts", "check-install.mjs"), manager, packed]),
    );
  }
} finally {
  rmSync(packed, { recursive: true, force: true });
}

check("examples of the reference and of the docs", () =>
  run(process.execPath, [join(root, "scripts", "check-examples.mjs")]),
);
check("browser entries of core and diffusion", () =>
  run(process.execPath, [join(root, "scripts", "check-browser.mjs")]),
);
check("core in Chromium", () => run(process.execPath, [join(root, "scripts", "run-in-browser.mjs")]));
check("pages of Vite and webpack", () => run(process.execPath, [join(root, "scripts", "run-pages.mjs")]));
check("jobs on Slurm", () => run(process.execPath, [join(root, "scripts", "check-slurm.mjs")]));
check("training over MPI", () => run(process.execPath, [join(root, "scripts", "check-mpi.mjs")]));
check("docs build", () => turbo("build", "--filter=@dcae/docs", "--output-logs=new-only"));
check("every page in Chromium", () => run(process.execPath, [join(root, "scripts", "check-pages.mjs")]));
check("live demo in Chromium", () => run(process.execPath, [join(root, "scripts", "run-demo.mjs")]));

mkdirSync(resultsFolder, { recursive: true });
writeFileSync(join(resultsFolder, "checks.json"), `${JSON.stringify(outcome, null, 2)}\n`);
process.exit(Object.values(outcome).every(Boolean) ? 0 : 1); // a skipped one isn't a failure

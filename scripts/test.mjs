// `npm test`: install, build, then the tests of all packages in one run of vitest. `npm test -- core cli` runs only those packages.
// `npm run test:soak` (`--soak`): the same with the slow tests (*.soak.test.ts), some of which start the built program.
//
// Leaves the report and what is known about the run in .test-results, which scripts/summarize.mjs counts. The run has a folder for
// temporary files of its own; what is still in it at the end is a failure.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { countRun, describeRun, reportFile, resultsFolder, runFile, testedPackages } from "./test-results.mjs";
import { fail, prepare, root, run } from "./workspace.mjs";

const args = process.argv.slice(2);
const kind = args.includes("--soak") ? "soak" : "ordinary";
const wanted = args.filter((arg) => arg !== "--soak");
const tested = testedPackages(kind).map(({ name }) => name);
for (const name of wanted) {
  if (!tested.includes(name)) fail(`no package "${name}" with ${kind} tests; there is ${tested.join(", ")}`);
}

mkdirSync(resultsFolder, { recursive: true });
for (const file of [reportFile(kind), runFile(kind)]) rmSync(file, { force: true });

prepare();

const temporary = mkdtempSync(join(tmpdir(), "dcae-tests-"));
try {
  const names = wanted.length > 0 ? wanted : tested;
  const status = run(
    process.execPath,
    [
      join(root, "node_modules", "vitest", "vitest.mjs"),
      ...["run", "--reporter=default", `--reporter=${join(root, "scripts", "test-reporter.mjs")}`],
      ...names.flatMap((name) => ["--project", `@dcae/${name}`]),
    ],
    root,
    { TMPDIR: temporary, TMP: temporary, TEMP: temporary, DCAE_TESTS: kind, DCAE_TEST_REPORT: reportFile(kind) },
  );
  const noted = { status, packages: names, leftBehind: readdirSync(temporary).sort() };
  writeFileSync(runFile(kind), `${JSON.stringify(noted, null, 1)}\n`);
} finally {
  rmSync(temporary, { recursive: true, force: true });
}

const counts = countRun(kind);
console.log(`\n${describeRun(kind, counts).join("\n")}`);
process.exit(counts.failed === 0 && counts.passed > 0 ? 0 : 1);

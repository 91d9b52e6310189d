// `npm test`: install, build, then every package's tests, one package after the other.
// Leaves .test-results/<package>.json (vitest's own report) and .test-results/runs.json (exit statuses), which
// scripts/summarize.mjs counts. `npm test -- core cli` runs only those packages.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { resultsFolder, testedPackages } from "./test-results.mjs";
import { fail, pnpm, prepare } from "./workspace.mjs";

rmSync(resultsFolder, { recursive: true, force: true });
mkdirSync(resultsFolder, { recursive: true });

const wanted = process.argv.slice(2);
const tested = testedPackages();
for (const name of wanted) {
  if (!tested.some((entry) => entry.name === name))
    fail(`no package "${name}" with tests; there is ${tested.map((entry) => entry.name)}`);
}

prepare();

const runs = {};
for (const { name, folder } of tested) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  console.log(`\n@dcae/${name}`);
  const report = join(resultsFolder, `${name}.json`);
  runs[name] = pnpm(
    ["exec", "vitest", "run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`],
    folder,
  );
  writeFileSync(join(resultsFolder, "runs.json"), `${JSON.stringify(runs, null, 2)}\n`);
}

const failed = Object.keys(runs).filter((name) => runs[name] !== 0);
if (failed.length > 0) fail(`\ntests failed in: ${failed.join(", ")}`);
console.log("\nall tests passed");

// Adds up the reports of `npm test` and of scripts/check.mjs; the last line is "N passed, N failed".
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { countReport, resultsFolder, testedPackages } from "./test-results.mjs";

const read = (name) => {
  const file = join(resultsFolder, name);
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined;
};

let passed = 0;
let failed = 0;

console.log("\nSummary");
const runs = read("runs.json") ?? {};
for (const { name } of testedPackages()) {
  const counts = countReport(name, runs[name] ?? 1);
  passed += counts.passed;
  failed += counts.failed;
  const note = counts.note ? ` (${counts.note})` : "";
  console.log(`tests of ${name}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped${note}`);
}

const checks = Object.entries(read("checks.json") ?? { "checks did not finish": false });
for (const [name, ok] of checks) {
  if (ok) passed += 1;
  else failed += 1;
  console.log(`${name}: ${ok ? "passed" : "FAILED"}`);
}

console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);

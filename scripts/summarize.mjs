// Adds up the reports of `npm test`, `npm run test:soak` and scripts/check.mjs; the last line is "N passed, N failed".
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { countRun, describeRun, kinds, resultsFolder } from "./test-results.mjs";

let passed = 0;
let failed = 0;

console.log("\nSummary");
for (const kind of kinds) {
  const counts = countRun(kind);
  passed += counts.passed;
  failed += counts.failed;
  console.log(describeRun(kind, counts).join("\n"));
}

const file = join(resultsFolder, "checks.json");
const checks = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : { "checks did not finish": false };
for (const [name, ok] of Object.entries(checks)) {
  if (ok === "skipped") {
    // Its programs can't be had on this machine: neither passed nor failed.
    console.log(`${name}: skipped`);
    continue;
  }
  if (ok) passed += 1;
  else failed += 1;
  console.log(`${name}: ${ok ? "passed" : "FAILED"}`);
}

console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);

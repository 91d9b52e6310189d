// Where test reports lie, which packages have tests, and how a vitest report is counted.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { packages, root } from "./workspace.mjs";

export const resultsFolder = join(root, ".test-results");

/**
 * The packages that are tested: those with test files, and those whose package.json has a test script. So new tests
 * run without further ado, and a package that has said it has tests cannot lose them all unnoticed.
 */
export function testedPackages() {
  return packages().filter(({ folder, manifest }) => manifest.scripts?.test || hasTests(folder));
}

/**
 * Counts of one package's vitest report. A report that is missing or unreadable, holds no test, or says "failed"
 * without a failed test (a file that did not load, a worker that died) counts as a failure, and so does an exit
 * status that disagrees with a clean report.
 */
export function countReport(name, status) {
  const file = join(resultsFolder, `${name}.json`);
  if (!existsSync(file)) return { passed: 0, failed: 1, skipped: 0, note: "no report: the test run did not finish" };
  let report;
  try {
    report = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    return { passed: 0, failed: 1, skipped: 0, note: `unreadable report: ${error.message}` };
  }
  const brokenFiles = report.testResults.filter(
    (result) => result.status === "failed" && !result.assertionResults.some((test) => test.status === "failed"),
  ).length;
  const counts = {
    passed: report.numPassedTests,
    failed: report.numFailedTests + brokenFiles,
    skipped: report.numPendingTests + report.numTodoTests,
    note: brokenFiles > 0 ? `${brokenFiles} test files did not load` : "",
  };
  if (report.numTotalTests === 0 && counts.failed === 0) return { ...counts, failed: 1, note: "no test was collected" };
  if (counts.failed === 0 && (!report.success || status !== 0)) {
    return { ...counts, failed: 1, note: `vitest failed outside of a test (exit status ${status})` };
  }
  return counts;
}

function hasTests(folder) {
  return ["test", "src"].some((area) => {
    const path = join(folder, area);
    return existsSync(path) && readdirSync(path, { recursive: true }).some((file) => String(file).endsWith(".test.ts"));
  });
}

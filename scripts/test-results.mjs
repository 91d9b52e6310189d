// Where test reports lie, which packages have tests of which kind, and how a report is counted.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { packages, root } from "./workspace.mjs";

export const resultsFolder = join(root, ".test-results");

/** The kinds of tests: those of `npm test`, and those of `npm run test:soak`. */
export const kinds = ["ordinary", "soak"];

export const reportFile = (kind) => join(resultsFolder, `${kind}.json`);
export const runFile = (kind) => join(resultsFolder, `${kind}-run.json`);

/**
 * The packages that are tested: those with test files of that kind, and for ordinary tests those whose package.json has
 * a test script. So new tests run without further ado, and a package that has said it has tests cannot lose them all
 * unnoticed.
 */
export function testedPackages(kind) {
  return packages().filter(
    ({ folder, manifest }) => (kind === "ordinary" && manifest.scripts?.test) || hasTests(folder, kind),
  );
}

/**
 * Counts one run, by its report and by what scripts/test.mjs noted about it. One failure each: a test, a file that did not
 * load, a package without any test, a file left behind in the folder for temporary files. A report that is missing or
 * unreadable counts as a failure, and so does an exit status that disagrees with a clean report.
 *
 * @returns per package { passed, failed, skipped, seconds, files }; `failures`, with package, file, name, state; `problems`
 *   outside of tests, as lines; and the sums
 */
export function countRun(kind) {
  const problems = [];
  const run = readJson(runFile(kind), problems);
  const report = readJson(reportFile(kind), problems);
  const counted = (run?.packages ?? testedPackages(kind).map(({ name }) => name)).map((name) => {
    const files = (report?.files ?? []).filter((file) => file.package === name);
    const tests = files.flatMap((file) => file.tests);
    const count = (state) => tests.filter((test) => test.state === state).length;
    if (report && tests.length === 0) problems.push(`no ${kind} test of ${name} was collected`);
    const seconds = files.reduce((sum, file) => sum + file.milliseconds, 0) / 1000;
    const failed = count("failed") + files.filter(isBroken).length;
    return { name, files: files.length, passed: count("passed"), failed, skipped: count("skipped"), seconds };
  });
  const failures = (report?.files ?? []).flatMap((file) => [
    ...file.tests.filter(({ state }) => state === "failed").map(({ name, pattern }) => ({ ...file, name, pattern })),
    ...(isBroken(file) ? [file] : []),
  ]);
  for (const error of report?.errors ?? []) problems.push(`outside of a test: ${error.split("\n")[0]}`);
  for (const name of run?.leftBehind ?? []) problems.push(`left behind in the folder for temporary files: ${name}`);
  if (report && run && failures.length + problems.length === 0 && (run.status !== 0 || report.reason !== "passed")) {
    problems.push(`vitest failed outside of a test (exit status ${run.status}, ${report.reason})`);
  }
  const sum = (field) => counted.reduce((total, entry) => total + entry[field], 0);
  return {
    packages: counted,
    failures,
    problems,
    passed: sum("passed"),
    failed: sum("failed") + problems.length,
    skipped: sum("skipped"),
  };
}

/** The lines that say how a run went; the last ones name what failed, and how one of them is run alone. */
export function describeRun(kind, { packages: counted, failures, problems, passed, failed, skipped }) {
  const lines = counted.map(
    ({ name, files, seconds, ...counts }) =>
      `${kind} tests of ${name}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped; ` +
      `${files} files, ${seconds.toFixed(0)} s when added up`,
  );
  lines.push(`${kind} tests: ${passed} passed, ${failed} failed, ${skipped} skipped`);
  for (const { package: name, file, name: test } of failures) {
    lines.push(`FAILED: packages/${name}/${file}: ${test ?? "the file did not load, or its hooks failed"}`);
  }
  for (const problem of problems) lines.push(`FAILED: ${problem}`);
  const [first] = failures;
  if (first) {
    const pattern =
      first.pattern === undefined ? "" : ` -t ${quote(first.pattern.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"))}`;
    lines.push(`To run one alone: cd packages/${first.package} && npx vitest run ${first.file}${pattern}`);
  }
  return lines;
}

/** A file that says "failed" without a failed test: it did not load, or a hook failed. */
function isBroken(file) {
  return !file.ok && !file.tests.some(({ state }) => state === "failed");
}

function readJson(file, problems) {
  if (!existsSync(file)) {
    problems.push(`there is no ${file.slice(root.length + 1)}: the test run did not finish`);
    return undefined;
  }
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    problems.push(`${file.slice(root.length + 1)} can't be read: ${error.message}`);
    return undefined;
  }
}

/** For a POSIX shell. */
function quote(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function hasTests(folder, kind) {
  return ["test", "src"].some((area) => {
    const path = join(folder, area);
    if (!existsSync(path)) return false;
    const files = readdirSync(path, { recursive: true }).map(String);
    return files.some((file) => file.endsWith(".test.ts") && file.endsWith(".soak.test.ts") === (kind === "soak"));
  });
}

// Reporter of vitest: what scripts/test-results.mjs counts, as one JSON file whose name is in DCAE_TEST_REPORT.
// Written at the end, so that a run that died has no report.
import { writeFileSync } from "node:fs";
import { relative, sep } from "node:path";
import { root } from "./workspace.mjs";

export default class TestReporter {
  onTestRunEnd(modules, unhandledErrors, reason) {
    const report = { reason, errors: unhandledErrors.map(messageOf), files: modules.map(describeFile) };
    writeFileSync(process.env.DCAE_TEST_REPORT, `${JSON.stringify(report, null, 1)}\n`);
  }
}

function describeFile(module) {
  const [, name, ...path] = relative(root, module.moduleId).split(sep);
  const { environmentSetupDuration, prepareDuration, collectDuration, setupDuration, duration } = module.diagnostic();
  return {
    package: name,
    file: path.join("/"),
    milliseconds: environmentSetupDuration + prepareDuration + collectDuration + setupDuration + duration,
    ok: module.ok(),
    errors: [module, ...module.children.allSuites()].flatMap((part) => part.errors()).map(messageOf),
    tests: [...module.children.allTests()].map((test) => ({
      name: test.fullName,
      pattern: namesOf(test).join(" "),
      state: test.result().state,
      milliseconds: test.diagnostic()?.duration ?? 0,
    })),
  };
}

/** Of the suites that a test is in, and its own: vitest's option -t looks for them with spaces between. */
function namesOf({ type, parent, name }) {
  return type === "module" ? [] : [...namesOf(parent), name];
}

function messageOf(error) {
  return error.stack ?? error.message ?? String(error);
}

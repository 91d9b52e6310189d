/** Names of parameters by pattern: `decoder.project_out` is that place and all below it, "*" stands for anything. */
import type { TrainingRule } from "../step/index.js";

export function namePatterns(patterns: readonly string[]): TrainingRule {
  const rules = patterns.map((pattern) => {
    const escaped = pattern.replace(/\.+$/, "").replace(/[\\^$.|?+()[\]{}]/g, "\\$&");
    return new RegExp(`^${escaped.replaceAll("*", ".*")}(\\.|$)`);
  });
  return (name) => rules.some((rule) => rule.test(name));
}

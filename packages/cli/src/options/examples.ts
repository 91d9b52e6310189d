/** The examples at the end of a command's help. */
import type { Command } from "commander";

export interface Example {
  readonly command: string;
  /** What it does, in a few words. */
  readonly does: string;
}

export function addExamples(command: Command, examples: readonly Example[]): Command {
  const lines = examples.map((example) => `  # ${example.does}\n  $ ${example.command}`);
  return command.addHelpText("after", `\nExamples:\n${lines.join("\n\n")}`);
}

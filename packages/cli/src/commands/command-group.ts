/** What commands have in common in their help: examples at its end, and commands that only hold others, as `dcae bench`. */
import { Command } from "commander";
import type { CliIo } from "../cli-io.js";

export interface Example {
  readonly command: string;
  /** What it does, in a few words. */
  readonly does: string;
}

export function addExamples(command: Command, examples: readonly Example[]): Command {
  const lines = examples.map((example) => `  # ${example.does}\n  $ ${example.command}`);
  return command.addHelpText("after", `\nExamples:\n${lines.join("\n\n")}`);
}

export interface CommandGroup {
  readonly name: string;
  /** For the list of commands. */
  readonly summary: string;
  /** For its own help. */
  readonly description: string;
  /** In the order of its help. */
  readonly commands: readonly ((io: CliIo) => Command)[];
  readonly examples: readonly Example[];
}

/** Without a command of it, a group shows its help. */
export function commandGroup({ name, summary, description, commands, examples }: CommandGroup, io: CliIo): Command {
  const group = new Command(name).summary(summary).description(description);
  for (const create of commands) group.addCommand(create(io));
  group.addHelpText("after", `\n\`dcae ${name} <command> --help\` shows options and examples.`);
  return addExamples(group, examples);
}

/** A command that only holds others, as `dcae bench`. */
import { Command } from "commander";
import type { CliIo } from "../cli-io.js";
import { addExamples, type Example } from "../options/examples.js";

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

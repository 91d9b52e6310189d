/** Every command with the words that call it, groups before what they hold. */
import type { Command } from "commander";
import { createCliIo } from "../../src/cli-io.js";
import { COMMANDS } from "../../src/commands/index.js";

export interface NamedCommand {
  /** As in "bench autoencoder". */
  readonly path: string;
  readonly command: Command;
  /** Whether it only holds others: `dcae latents` does something by itself as well, and so has options. */
  readonly isGroup: boolean;
}

function walk(command: Command, above: string): NamedCommand[] {
  const path = `${above} ${command.name()}`.trimStart();
  const isGroup = command.commands.length > 0 && command.options.length === 0;
  return [{ path, command, isGroup }, ...command.commands.flatMap((child) => walk(child, path))];
}

const io = createCliIo({ stdout: () => {}, stderr: () => {} });

export const COMMAND_TREE: readonly NamedCommand[] = COMMANDS.flatMap((create) => walk(create(io), ""));

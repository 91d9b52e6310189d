/** Whether examples are command lines. */
import { Command } from "commander";
import { vi } from "vitest";
import { createCliIo } from "../../src/cli-io.js";
import { COMMANDS } from "../../src/commands/index.js";

/**
 * The command that takes a command line, as in "bench autoencoder"; it isn't run.
 *
 * @param line without "dcae"
 * @throws CommanderError when none takes it
 */
export async function commandOf(line: string): Promise<string | undefined> {
  // As a shell has it: words, quoted ones too, and where the output goes.
  const argv = [...line.replace(/ > \S+$/, "").matchAll(/["']([^"']*)["']|(\S+)/g)].map(
    ([, quoted, bare]) => quoted ?? bare,
  );
  const program = new Command("dcae");
  for (const create of COMMANDS) program.addCommand(create(createCliIo({ stdout: () => {}, stderr: () => {} })));
  let taken: string | undefined;
  const prepare = (command: Command, path: string) => {
    command.exitOverride().configureOutput({ outputError: () => {} });
    // Groups have no options of their own; "latents" does something besides holding "merge".
    if (path !== "" && (command.commands.length === 0 || command.options.length > 0)) {
      command.action(() => {
        taken = path;
      });
    }
    for (const child of command.commands) prepare(child, `${path} ${child.name()}`.trimStart());
  };
  prepare(program, "");
  // --shard auto asks the engine that started this process: here there is one.
  vi.stubEnv("JOB_COMPLETION_INDEX", "0").stubEnv("JOB_COMPLETIONS", "2");
  try {
    await program.parseAsync(argv as string[], { from: "user" });
  } finally {
    vi.unstubAllEnvs();
  }
  return taken;
}

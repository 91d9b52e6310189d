/** `dcae` as a function: arguments in, exit status out. 0: done; 1: failed; 2: the command line makes no sense; 129, 130, 143: interrupted; 75: interrupted by SIGUSR1, to be started again. */
import { clusterPlaces } from "@dcae/core/internal";
import { Command, CommanderError } from "commander";
import type { CliIo } from "./cli-io.js";
import { COMMANDS } from "./commands/index.js";
import { Interrupted, reportError, USAGE_FAILURE, UsageError } from "./errors.js";
import { VERSION } from "./package-info.js";

/**
 * Runs one command line.
 *
 * @param argv without node and the script's name
 */
export async function run(argv: readonly string[], io: CliIo): Promise<number> {
  const program = createProgram({ ...io, argv });
  try {
    await program.parseAsync([...argv], { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE_FAILURE;
    // Whatever an abort broke, it is the interruption that the user wants to hear of.
    const reason = io.signal.aborted && io.signal.reason instanceof Interrupted ? io.signal.reason : error;
    // What makes no sense on one rank makes none on the others; before they know of each other, the first one says it.
    const isSaid = reason instanceof UsageError && isOtherRank(argv);
    return reportError(reason, isSaid ? { ...io, note() {} } : io, program.opts<{ debug?: boolean }>().debug === true);
  } finally {
    io.progress.clear();
  }
}

/** Whether this command runs as one of several ranks, and not as the first. */
function isOtherRank(argv: readonly string[]): boolean {
  if (!argv.some((word) => word === "--parallel" || word.startsWith("--parallel="))) return false;
  return clusterPlaces(process.env).some(({ kind, index }) => kind === "rank" && index > 0);
}

const AFTER_HELP =
  "`dcae <command> --help` shows options and examples.\n\n" +
  "Exit status: 0 done, 1 failed, 2 the command line makes no sense, 130 Ctrl-C, 143 SIGTERM, " +
  "75 SIGUSR1: what is done is kept, and an engine may start the same command again.";

function createProgram(io: CliIo): Command {
  const program: Command = new Command("dcae")
    .description(
      "DC-AE, the Deep Compression Autoencoder: pictures to latents 32, 64 or 128 times smaller on each side, and back.",
    )
    .version(VERSION, "-V, --version", "print the version")
    .option("--debug", "show where an error comes from")
    // In a narrow terminal too: what isn't wrapped between words here, the terminal wraps within them.
    .configureHelp({ sortSubcommands: false, showGlobalOptions: true, minWidthToWrap: 20 })
    .addHelpText(
      "after",
      () => `
${program.createHelp().boxWrap(AFTER_HELP, io.helpColumns())}`,
    )
    .showSuggestionAfterError(true);
  for (const create of COMMANDS) program.addCommand(create(io));
  prepareTree(program, io);
  return program;
}

/** `prepare` for a command and those below it, which also inherit its settings. */
function prepareTree(command: Command, io: CliIo): void {
  prepare(command, io);
  for (const child of command.commands) prepareTree(child.copyInheritedSettings(command), io);
}

/** The words that call a command, as in "bench autoencoder"; empty for `dcae` itself. */
function pathOf(command: Command): string {
  if (command.parent === null) return "";
  return `${pathOf(command.parent)} ${command.name()}`.trimStart();
}

/** Sends a command's words to `io`, and makes its usage errors ours: one line, with the way to its help. */
function prepare(command: Command, io: CliIo): void {
  command.configureOutput({
    writeOut: (text) => io.out(text.replace(/\n$/, "")),
    writeErr: (text) => io.note(text.replace(/\n$/, "")),
    outputError: () => {},
    getOutHelpWidth: io.helpColumns,
    getErrHelpWidth: io.helpColumns,
  });
  command.exitOverride((error) => {
    const isHelp = error.exitCode === 0 || error.code === "commander.help";
    if (isHelp) throw error;
    const path = pathOf(command);
    const message = error.message.replace(/^error: /, "").replace(/\s*\n\s*/g, " ");
    const [name, help] = path === "" ? ["", "dcae --help"] : [`${path}: `, `dcae ${path} --help`];
    throw new UsageError(`${name}${message}`, { cause: error, hint: `See \`${help}\`.` });
  });
}

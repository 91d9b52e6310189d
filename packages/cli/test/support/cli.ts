/** Runs command lines in this process, with what they write. */
import { createCliIo } from "../../src/cli-io.js";
import { run } from "../../src/run.js";

export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  /** What isn't text on stdout. */
  readonly bytes: Uint8Array;
}

export interface CliOptions {
  readonly signal?: AbortSignal;
  /** Called with each piece that goes to stderr, which then is a terminal. */
  readonly onTerminal?: (text: string) => void;
  /** What comes through stdin. */
  readonly stdin?: Uint8Array;
  /** Called with each piece that goes to stdout. */
  readonly onStdout?: (text: string) => void;
  readonly helpColumns?: number;
}

export async function cli(argv: readonly string[], options: CliOptions = {}): Promise<Outcome> {
  const { signal, onTerminal, stdin = new Uint8Array(), onStdout, helpColumns = 80 } = options;
  const written = { stdout: "", stderr: "", bytes: new Uint8Array() };
  const io = createCliIo({
    stdout: (text) => {
      written.stdout += text;
      onStdout?.(text);
    },
    stderr: (text) => {
      written.stderr += text;
      onTerminal?.(text);
    },
    isTerminal: onTerminal !== undefined,
    helpColumns: () => helpColumns,
    readStdin: async () => stdin,
    writeStdout: async (bytes) => {
      written.bytes = Uint8Array.from(bytes);
    },
    ...(signal === undefined ? {} : { signal }),
  });
  return { status: await run(argv, io), ...written };
}

/** The outcome of a command line that has to succeed, without anything on stderr. */
export async function succeed(...argv: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await cli(argv);
  if (status !== 0 || stderr !== "") throw new Error(`dcae ${argv.join(" ")}: exit status ${status}\n${stderr}`);
  return stdout;
}

/** What a failing command line writes to stderr: exactly one line. */
export async function failWith(status: number, ...argv: readonly string[]): Promise<string> {
  const outcome = await cli(argv);
  const line = outcome.stderr;
  if (outcome.status !== status || !/^dcae: [^\n]+\n$/.test(line)) {
    throw new Error(`dcae ${argv.join(" ")}: exit status ${outcome.status}, expected ${status} and one line\n${line}`);
  }
  return line;
}

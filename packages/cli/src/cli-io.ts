/**
 * Where a command's words go: results to stdout, everything else to stderr.
 *
 * Progress is one line of stderr that is rewritten in place, and only where stderr is a terminal: logs and pipes never see
 * it. Commands get this instead of `process`, so that tests run them in their own process.
 *
 * Every word goes through `printable` here, in pipes and logs too (they are shown later): names of files and classes must not
 * reach a terminal with escape sequences.
 */
import { printable } from "@dcae/core";
import { createProgressLine, type ProgressLine } from "./progress-line.js";

export interface CliIo {
  /** Writes a line (or several) of results to stdout. */
  out(text: string): void;
  /** Writes a line to stderr, above the progress line. */
  note(text: string): void;
  /** Shows how far the work is; see `ProgressLine`. */
  readonly progress: ProgressLine;
  /** Aborted with `Interrupted` as reason when the user wants the command to stop. */
  readonly signal: AbortSignal;
}

export interface CliStreams {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** Whether stderr is a terminal. */
  readonly isTerminal?: boolean;
  /** Width of the terminal; may change. */
  readonly columns?: () => number;
  readonly signal?: AbortSignal;
}

export function createCliIo({
  stdout,
  stderr,
  isTerminal = false,
  columns = () => 80,
  signal = new AbortController().signal,
}: CliStreams): CliIo {
  const progress = createProgressLine(isTerminal ? stderr : undefined, columns);
  return {
    out(text) {
      progress.clear();
      stdout(`${printable(text)}\n`);
    },
    note(text) {
      progress.clear();
      stderr(`${printable(text)}\n`);
    },
    progress,
    signal,
  };
}

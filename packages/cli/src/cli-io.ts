/**
 * Where a command's words go: results to stdout, everything else to stderr.
 *
 * Progress is one line of stderr that is rewritten in place, and only where stderr is a terminal: logs and pipes never see
 * it. Commands get this instead of `process`, so that tests run them in their own process. The line is ours: names in it must
 * become printable and fit the terminal, and notes go above it; of a library (cli-progress) only the drawing of the bar would be left.
 *
 * Every word goes through `printable` here, in pipes and logs too (they are shown later): names of files and classes must not
 * reach a terminal with escape sequences.
 */
import { formatBytes, formatCount, plural, printable, printableLine } from "@dcae/core/internal";

// One line of a terminal that says how far the work is: `encode  [#####---------------]  25%  3/12  cat.png`.

export interface Step {
  /** What is being done, as in "encode". */
  readonly label: string;
  readonly done: number;
  /** Unknown totals show the amount alone. */
  readonly total?: number | undefined;
  readonly unit?: "bytes" | "items";
  /** What is being worked on. */
  readonly detail?: string;
}

export interface ProgressLine {
  /** Whether there is a terminal to show anything on. */
  readonly isVisible: boolean;
  /** Shows a step in place of the last one. */
  show(step: Step): void;
  /** Shows a text in place of the last one; an important one isn't left out when many come. */
  showText(text: string, isImportant: boolean): void;
  /** Removes the line; the next step brings it back. */
  clear(): void;
}

/** A terminal gets at most this many updates per second; the first and last one of a kind of work are always shown. */
const MAX_UPDATES_PER_SECOND = 10;
const BAR_WIDTH = 20;
const ERASE_LINE = "\r\u001b[2K";

/** @param write to the terminal; without it nothing is ever shown */
export function createProgressLine(
  write: ((text: string) => void) | undefined,
  columns: () => number,
  now: () => number = Date.now,
): ProgressLine {
  let visible = false;
  let last = Number.NEGATIVE_INFINITY;
  let label = "";
  function showText(text: string, isImportant: boolean): void {
    if (write === undefined) return;
    const time = now();
    if (!isImportant && time - last < 1000 / MAX_UPDATES_PER_SECOND) return;
    last = time;
    visible = true;
    // One column stays free: a full line would wrap on some terminals.
    write(`${ERASE_LINE}${printableLine(text).slice(0, Math.max(columns() - 1, 0))}`);
  }
  return {
    isVisible: write !== undefined,
    showText,
    show(step) {
      const isEdge = step.label !== label || step.done === step.total;
      label = step.label;
      showText(formatStep(step), isEdge);
    },
    clear() {
      if (visible) write?.(ERASE_LINE);
      visible = false;
    },
  };
}

/** The text of a step. */
export function formatStep({ label, done, total, unit = "items", detail = "" }: Step): string {
  const format = unit === "bytes" ? formatBytes : String;
  if (total === undefined) return [label, format(done), detail].filter((part) => part !== "").join("  ");
  const fraction = total === 0 ? 1 : Math.min(done / total, 1);
  const filled = Math.floor(fraction * BAR_WIDTH);
  const bar = `[${"#".repeat(filled)}${"-".repeat(BAR_WIDTH - filled)}]`;
  const percent = `${Math.floor(fraction * 100)}%`.padStart(4);
  return [label, bar, percent, `${format(done)}/${format(total)}`, detail].filter((part) => part !== "").join("  ");
}

export interface CliIo {
  /** Writes a line (or several) of results to stdout. */
  out(text: string): void;
  /** Writes a result to stdout as JSON, for other programs. */
  json(value: unknown): void;
  /** Writes a line to stderr, above the progress line. */
  note(text: string): void;
  /** Shows how far the work is; see `ProgressLine`. */
  readonly progress: ProgressLine;
  /** Width that help is wrapped to. */
  readonly helpColumns: () => number;
  /** The words that called `dcae`, for messages that repeat them. */
  readonly argv: readonly string[];
  /** All of stdin. @throws UsageError where it is a terminal */
  readStdin(): Promise<Uint8Array>;
  /** Writes a result to stdout as it is. @throws UsageError where that is a terminal */
  writeStdout(bytes: Uint8Array): Promise<void>;
  /** Aborted with `Interrupted` as reason when the user wants the command to stop. */
  readonly signal: AbortSignal;
}

export interface CliStreams {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  readonly helpColumns?: () => number;
  readonly readStdin?: () => Promise<Uint8Array>;
  readonly writeStdout?: (bytes: Uint8Array) => Promise<void>;
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
  helpColumns = () => 80,
  readStdin = () => Promise.resolve(new Uint8Array()),
  writeStdout = async () => undefined,
  signal = new AbortController().signal,
}: CliStreams): CliIo {
  const progress = createProgressLine(isTerminal ? stderr : undefined, columns);
  const out = (text: string) => {
    progress.clear();
    stdout(`${printable(text)}\n`);
  };
  return {
    out,
    json: (value) => out(JSON.stringify(value, undefined, 2)),
    note(text) {
      progress.clear();
      stderr(`${printable(text)}\n`);
    },
    progress,
    helpColumns,
    argv: [],
    readStdin,
    async writeStdout(bytes) {
      progress.clear();
      await writeStdout(bytes);
    },
    signal,
  };
}

// Numbers for people.

export { formatBytes, formatCount, plural };

/** Decibels; Infinity for identical pictures. */
export function formatPsnr(value: number): string {
  return Number.isFinite(value) ? `${value.toFixed(2)} dB` : "identical";
}

/**
 * How a command ends otherwise than well: usage errors, the one line that a failure says, and interruptions.
 *
 * Ctrl-C, SIGTERM, SIGHUP (a terminal that closes) and SIGUSR1 (a cluster that takes the machine away soon) abort `io.signal`; work stops at its next step, and whatever was being
 * written is removed by its writer (files have temporary names until they are complete). Inference can't be stopped from
 * outside, so `unlessAborted` doesn't wait for it: the process ends right after.
 */
import { constants } from "node:os";
import { DcaeError } from "@dcae/core";
import { errorMessage } from "@dcae/core/graph";
import type { CliIo } from "./cli-io.js";

/** A command line that can't be carried out as it is written: exit status 2, where other failures give 1. */
export class UsageError extends DcaeError {
  override readonly name: string = "UsageError";
}

/** A failure that another process tells the user about. */
export class SaidElsewhere extends Error {}

/** Exit statuses other than 0. */
const FAILURE = 1;
export const USAGE_FAILURE = 2;

/** An error as one line, its hint included. */
export function errorLine(error: unknown): string {
  const message = oneLine(errorMessage(error));
  if (!(error instanceof DcaeError)) {
    const name = error instanceof Error && error.name !== "Error" ? `${error.name}: ` : "";
    return `unexpected error: ${name}${message} (run again with --debug and report it)`;
  }
  const hint = error.hint === undefined ? "" : ` ${oneLine(error.hint)}`;
  return `${message}${hint !== "" && !/[.!?]$/.test(message) ? "." : ""}${hint}`;
}

/** Texts of foreign libraries may have several lines. */
function oneLine(text: string): string {
  return text.trim().replace(/\s*[\r\n]+\s*/g, " ");
}

/** Tells the user about an error and returns the exit status. */
export function reportError(error: unknown, io: CliIo, debug: boolean): number {
  if (error instanceof Interrupted) {
    io.note(`dcae: ${error.message}`);
    return interruptedStatus(error.signal);
  }
  if (error instanceof SaidElsewhere) return FAILURE;
  io.note(`dcae: ${errorLine(error)}`);
  if (debug && error instanceof Error) io.note(stackOf(error));
  return error instanceof UsageError ? USAGE_FAILURE : FAILURE;
}

function stackOf(error: Error): string {
  const stack = error.stack ?? String(error);
  return error.cause instanceof Error ? `${stack}\nCaused by: ${stackOf(error.cause)}` : stack;
}

/** The reason of an aborted `io.signal`. */
export class Interrupted extends Error {
  readonly signal: NodeJS.Signals;

  constructor(signal: NodeJS.Signals) {
    super(`interrupted (${signal})`);
    this.name = "Interrupted";
    this.signal = signal;
  }
}

/** "Temporary failure, try again" of sysexits.h: what was done is kept, and the same command goes on. */
const TRY_AGAIN = 75;

/**
 * Exit statuses by the shell's convention, 128 + the signal's number; but 75 for SIGUSR1, which clusters send some time before they take
 * the machine away (`sbatch --signal`), so that an engine can tell "start it again" from an end that somebody wanted.
 */
export function interruptedStatus(signal: NodeJS.Signals): number {
  return signal === "SIGUSR1" ? TRY_AGAIN : 128 + constants.signals[signal];
}

/**
 * How a command ends otherwise than well: usage errors, the one line that a failure says, and interruptions.
 *
 * Ctrl-C, SIGTERM and SIGHUP (a terminal that closes) abort `io.signal`; work stops at its next step, and whatever was being
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
    return interruptedStatus(error);
  }
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

/** Exit statuses by the shell's convention, 128 + the signal's number. */
function interruptedStatus({ signal }: Interrupted): number {
  return 128 + constants.signals[signal];
}

/** What a failed command says: one line with the problem and the next step. A stack only for `--debug` and for defects. */
import { DcaeError } from "@dcae/core";
import { errorMessage } from "@dcae/core/graph";
import type { CliIo } from "./cli-io.js";
import { Interrupted, interruptedStatus } from "./interrupted.js";
import { UsageError } from "./usage-error.js";

/** Exit statuses other than 0. */
export const FAILURE = 1;
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

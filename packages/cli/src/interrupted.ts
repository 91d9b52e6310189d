/**
 * Ctrl-C, SIGTERM and SIGHUP (a terminal that closes).
 *
 * A signal aborts `io.signal`; work stops at its next step, and whatever was being written is removed by its writer (files
 * have temporary names until they are complete). Inference can't be stopped from outside, so `unlessInterrupted` doesn't
 * wait for it: the process ends right after.
 */
import { constants } from "node:os";

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
export function interruptedStatus({ signal }: Interrupted): number {
  return 128 + constants.signals[signal];
}

/** Only around work that writes nothing: it goes on unseen until the process ends. */
export { unlessAborted as unlessInterrupted } from "@dcae/core/internal";

/**
 * How a run goes: the progress line of a terminal, and a line per minute where stderr is none (a log file).
 */
import { formatProgress, type ProgressState, type TrainingProgress } from "@dcae/train";
import type { CliIo } from "../cli-io.js";

const MILLISECONDS_BETWEEN_LINES = 60_000;

/** @param now milliseconds */
export function trainingProgress(label: string, io: CliIo, now: () => number = Date.now): TrainingProgress {
  let last = now();
  return {
    show(state: ProgressState) {
      if (io.progress.isVisible) {
        io.progress.showText(formatProgress(label, state), state.step === state.steps);
        return;
      }
      const time = now();
      if (time - last < MILLISECONDS_BETWEEN_LINES) return;
      last = time;
      io.note(formatProgress(label, state));
    },
    clear: () => io.progress.clear(),
  };
}

/** The progress of an evaluation on the terminal, with its speed, and a word about what an earlier run had done. */
import { formatSeconds, type Progress } from "@dcae/eval";
import type { CliIo } from "../cli-io.js";
import { formatCount } from "../format-number.js";

/** @param now in milliseconds, for tests */
export function showProgress(io: CliIo, now: () => number = Date.now): (progress: Progress) => void {
  let stage = "";
  let start = 0;
  let isAnnounced = false;
  return ({ stage: current, done, total, unit, resumed = 0 }) => {
    if (current !== stage) {
      stage = current;
      isAnnounced = false;
    }
    if (unit === "share") {
      io.progress.show({ label: current, done: Math.floor(100 * done), total: 100 });
      return;
    }
    const computed = done - resumed;
    // Parts of an earlier run come first, in no time.
    if (computed <= 0) start = now();
    if (!isAnnounced && resumed > 0 && (computed > 0 || done === total)) {
      isAnnounced = true;
      io.note(
        `dcae: ${current}: ${formatCount(resumed)} of ${formatCount(total)} pictures were done by an earlier run`,
      );
    }
    io.progress.show({ label: current, done, total, detail: speed(computed, total - done, (now() - start) / 1000) });
  };
}

function speed(done: number, left: number, seconds: number): string {
  if (done <= 0 || seconds <= 0) return "";
  const rate = done / seconds;
  return `${rate.toPrecision(3)} pictures/s, ${formatSeconds(left / rate)} left`;
}

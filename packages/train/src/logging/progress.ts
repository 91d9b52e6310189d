/** The line of a terminal that says how a run goes: bar, steps, speed, time left, losses. */
import { printableLine } from "@dcae/core/internal";

export interface ProgressState {
  readonly step: number;
  readonly steps: number;
  /** null before anything was measured. */
  readonly imagesPerSecond: number | null;
  readonly secondsLeft: number | null;
  readonly metrics: Readonly<Record<string, number>>;
}

export interface TrainingProgress {
  show(state: ProgressState): void;
  /** Removes the line, so that something else can be printed. */
  clear(): void;
}

/** What a terminal must have: `process.stderr` does. */
export interface ProgressStream {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

const BAR = 20;
const MAX_UPDATES_PER_SECOND = 10;
const ERASE_LINE = "\r\u001b[2K";

/** As in 1d 02h, 3h 04m, 5m 06s, 7s. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60, whole % 60];
  const units = ["d", "h", "m", "s"];
  const first = Math.min(parts.findIndex((part) => part > 0) === -1 ? 3 : parts.findIndex((part) => part > 0), 3);
  const shown = parts.slice(first, first + 2);
  return shown.map((part, i) => `${i === 0 ? part : String(part).padStart(2, "0")}${units[first + i]}`).join(" ");
}

const significant = (value: number) => (Number.isFinite(value) ? String(Number(value.toPrecision(4))) : String(value));

export function formatProgress(label: string, state: ProgressState): string {
  const { step, steps, imagesPerSecond, secondsLeft, metrics } = state;
  const share = steps === 0 ? 1 : Math.min(step / steps, 1);
  const filled = Math.floor(share * BAR);
  return [
    label,
    `[${"#".repeat(filled)}${"-".repeat(BAR - filled)}]`,
    `${step}/${steps}`,
    ...(imagesPerSecond === null ? [] : [`${significant(imagesPerSecond)} images/s`]),
    ...(secondsLeft === null ? [] : [`${formatDuration(secondsLeft)} left`]),
    ...Object.entries(metrics).map(([name, value]) => `${name} ${significant(value)}`),
  ].join("  ");
}

/** A progress line on a terminal; where the stream is none, nothing is ever written. */
export function createProgress(
  label: string,
  stream: ProgressStream = process.stderr,
  now: () => number = Date.now,
): TrainingProgress {
  let visible = false;
  let last = Number.NEGATIVE_INFINITY;
  return {
    show(state) {
      if (stream.isTTY !== true) return;
      const time = now();
      if (state.step < state.steps && time - last < 1000 / MAX_UPDATES_PER_SECOND) return;
      last = time;
      visible = true;
      // One column stays free: a full line would wrap on some terminals.
      const text = printableLine(formatProgress(label, state));
      stream.write(`${ERASE_LINE}${text.slice(0, Math.max((stream.columns ?? 80) - 1, 0))}`);
    },
    clear() {
      if (visible) stream.write(ERASE_LINE);
      visible = false;
    },
  };
}

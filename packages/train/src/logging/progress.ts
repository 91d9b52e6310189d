/** How a run goes: its speed, the time that is left, and the line that says so. */

export interface ProgressState {
  readonly step: number;
  readonly steps: number;
  /** null before anything was measured. */
  readonly imagesPerSecond: number | null;
  readonly secondsLeft: number | null;
  /** Share of the time in which the engine had nothing to do, since the next pictures weren't ready. */
  readonly waitingForData?: number | null;
  readonly metrics: Readonly<Record<string, number>>;
}

/** Where a run shows how it goes, as the progress line of a terminal. */
export interface TrainingProgress {
  show(state: ProgressState): void;
  /** Removes what is shown, so that something else can be printed. */
  clear(): void;
}

const BAR = 20;
/** Below this share of the time, waiting isn't worth a word. */
const SHOWN_WAITING = 0.05;

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

/** Bar, steps, speed, time left, losses, as one line. */
export function formatProgress(label: string, state: ProgressState): string {
  const { step, steps, imagesPerSecond, secondsLeft, waitingForData, metrics } = state;
  const share = steps === 0 ? 1 : Math.min(step / steps, 1);
  const filled = Math.floor(share * BAR);
  return [
    label,
    `[${"#".repeat(filled)}${"-".repeat(BAR - filled)}]`,
    `${step}/${steps}`,
    ...(imagesPerSecond === null ? [] : [`${significant(imagesPerSecond)} images/s`]),
    ...((waitingForData ?? 0) < SHOWN_WAITING
      ? []
      : [`${Math.round(100 * (waitingForData as number))} % waiting for data`]),
    ...(secondsLeft === null ? [] : [`${formatDuration(secondsLeft)} left`]),
    ...Object.entries(metrics).map(([name, value]) => `${name} ${significant(value)}`),
  ].join("  ");
}

/** Speed of a run over its last updates. */
export interface Speed {
  /** Another update of `images` pictures is done, `waited` milliseconds of which went by until they were there. */
  tick(images: number, waited?: number): void;
  /** Null before two updates are done. */
  readonly imagesPerSecond: number | null;
  readonly secondsPerStep: number | null;
  /** Share of the time that was waited. */
  readonly waitingForData: number | null;
}

/** Updates that count: enough to smooth, few enough to follow a machine that becomes busy. */
const WINDOW = 50;

/** @param now milliseconds */
export function createSpeed(now: () => number = Date.now): Speed {
  interface Tick {
    readonly time: number;
    readonly images: number;
    readonly waited: number;
  }
  const ticks: Tick[] = [];
  const over = (what: (entries: readonly Tick[]) => number): number | null => {
    const [first, last] = [ticks[0], ticks.at(-1)];
    if (first === undefined || last === undefined || last.time <= first.time) return null;
    // The first tick only starts the clock.
    return what(ticks.slice(1)) / ((last.time - first.time) / 1000);
  };
  return {
    tick(images, waited = 0) {
      ticks.push({ time: now(), images, waited });
      if (ticks.length > WINDOW) ticks.shift();
    },
    get imagesPerSecond() {
      return over((entries) => entries.reduce((sum, { images }) => sum + images, 0));
    },
    get secondsPerStep() {
      const perSecond = over((entries) => entries.length);
      return perSecond === null ? null : 1 / perSecond;
    },
    get waitingForData() {
      return over((entries) => entries.reduce((sum, { waited }) => sum + waited / 1000, 0));
    },
  };
}

/** Speed of a run over its last updates, and the time that is left at that speed. */

export interface Speed {
  /** Another update of `images` pictures is done. */
  tick(images: number): void;
  /** Null before two updates are done. */
  readonly imagesPerSecond: number | null;
  readonly secondsPerStep: number | null;
}

/** Updates that count: enough to smooth, few enough to follow a machine that becomes busy. */
const WINDOW = 50;

/** @param now milliseconds */
export function createSpeed(now: () => number = Date.now): Speed {
  const ticks: { readonly time: number; readonly images: number }[] = [];
  const over = (what: (entries: readonly { images: number }[]) => number): number | null => {
    const [first, last] = [ticks[0], ticks.at(-1)];
    if (first === undefined || last === undefined || last.time <= first.time) return null;
    // The first tick only starts the clock.
    return what(ticks.slice(1)) / ((last.time - first.time) / 1000);
  };
  return {
    tick(images) {
      ticks.push({ time: now(), images });
      if (ticks.length > WINDOW) ticks.shift();
    },
    get imagesPerSecond() {
      return over((entries) => entries.reduce((sum, { images }) => sum + images, 0));
    },
    get secondsPerStep() {
      const perSecond = over((entries) => entries.length);
      return perSecond === null ? null : 1 / perSecond;
    },
  };
}

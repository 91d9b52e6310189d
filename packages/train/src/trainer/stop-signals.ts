/** Ctrl-C, SIGTERM and SIGHUP (a terminal that closes) as a wish to stop: the run finishes its update and saves. A second signal ends the process at once. */

export interface StopSignals {
  readonly signal: AbortSignal;
  /** Lets signals work as before. */
  dispose(): void;
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** @param onSignal hears of the first signal */
export function stopSignals(onSignal: (name: NodeJS.Signals) => void = () => undefined): StopSignals {
  const controller = new AbortController();
  const handle = (name: NodeJS.Signals) => {
    // Without a handler the next signal has its usual effect.
    dispose();
    onSignal(name);
    controller.abort(name);
  };
  const dispose = () => {
    for (const name of SIGNALS) process.off(name, handle);
  };
  for (const name of SIGNALS) process.on(name, handle);
  return { signal: controller.signal, dispose };
}

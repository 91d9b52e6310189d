/**
 * Lets a bounded amount of work go on at once: so many jobs, and so many bytes among them. A job that needs more bytes than that goes
 * alone. First come, first served, so that none waits forever.
 */
export type Limiter = <T>(bytes: number, work: () => Promise<T>) => Promise<T>;

export function limitWork({ jobs, bytes: most }: { readonly jobs: number; readonly bytes: number }): Limiter {
  const waiting: { readonly bytes: number; readonly start: () => void }[] = [];
  let [running, held] = [0, 0];

  function startNext(): void {
    for (;;) {
      const [first] = waiting;
      if (first === undefined || running >= jobs || (running > 0 && held + first.bytes > most)) return;
      waiting.shift();
      running += 1;
      held += first.bytes;
      first.start();
    }
  }

  return async (bytes, work) => {
    await new Promise<void>((start) => {
      waiting.push({ bytes, start });
      startNext();
    });
    try {
      return await work();
    } finally {
      running -= 1;
      held -= bytes;
      startNext();
    }
  };
}

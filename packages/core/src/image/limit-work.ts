/**
 * Bounds for what strangers' files make us do: so much work at once, and so long for one picture.
 */
import { DataError } from "../errors.js";

/**
 * Lets a bounded amount of work go on at once: so many jobs, and so many bytes among them. A job that needs more bytes than that goes
 * alone. First come, first served, so that none waits forever.
 */
type Limiter = <T>(bytes: number, work: () => Promise<T>) => Promise<T>;

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

/** What is said of a picture that takes too long. */
export function tooSlow(maxSeconds: number): DataError {
  return new DataError(`isn't decoded within ${maxSeconds} seconds`, {
    hint: "Save it as a plain PNG; if the file can be trusted, raise maxSeconds.",
  });
}

/**
 * The result of `work`, or an error when the time is over. The work itself goes on: who starts it sees to its end.
 *
 * @throws DataError when the time is over first
 */
export async function withinTime<T>(maxSeconds: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(tooSlow(maxSeconds)), 1000 * maxSeconds);
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
  }
}

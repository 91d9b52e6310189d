/**
 * Loads sharp when the first picture is read or written, so that programs without pictures never touch its native code.
 */
import type { default as Sharp } from "sharp";
import { DataError, EngineError, errorMessage } from "../errors.js";

let loaded: Promise<typeof Sharp> | undefined;

/**
 * The sharp module.
 *
 * @throws EngineError when its native part for this platform isn't installed
 */
export function loadSharp(): Promise<typeof Sharp> {
  loaded ??= import("sharp").then(
    (module) => module.default,
    (error: unknown) => {
      loaded = undefined;
      throw new EngineError(`sharp, which reads and writes pictures, can't be loaded: ${firstLine(error)}`, {
        cause: error,
        hint: "Install it for this platform: npm install --include=optional sharp",
      });
    },
  );
  return loaded;
}

/** The first line of a native library's message, which may go on for pages. */
export function firstLine(error: unknown): string {
  return (errorMessage(error).trim().split("\n")[0] as string).trim();
}

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

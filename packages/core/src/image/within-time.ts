/** The time limit of a picture. */
import { DataError } from "../errors.js";

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

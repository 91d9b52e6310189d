/** Closes what was opened, all of it, whatever fails on the way; and gives up waiting for what can't be stopped. */

/**
 * Calls every closer, one after the other, also behind one that fails.
 *
 * @throws what the first failing closer threw, when all were called
 */
export async function closeAll(closers: Iterable<() => unknown>): Promise<void> {
  const failures: unknown[] = [];
  for (const close of closers) {
    try {
      await close();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}

/** Closes after a failure: `error` is what the caller learns of, not what closing adds. @throws error */
export async function failClosed(error: unknown, closers: Iterable<() => unknown>): Promise<never> {
  await closeAll(closers).catch(() => undefined);
  throw error;
}

/**
 * Runs `work`. What it hands to `onEnd` runs afterwards, the last first, and each of them even where another one fails.
 *
 * @throws what the work threw, otherwise the first thing that closing threw
 */
export async function withClosing<T>(work: (onEnd: (close: () => Promise<unknown>) => void) => Promise<T>): Promise<T> {
  const closers: (() => Promise<unknown>)[] = [];
  let result: T;
  try {
    result = await work((close) => closers.push(close));
  } catch (error) {
    return failClosed(error, closers.reverse());
  }
  await closeAll(closers.reverse());
  return result;
}

/**
 * The result of `work`, or a rejection with the signal's reason as soon as it is aborted: inference can't be stopped from outside.
 *
 * Use it only around work that writes nothing: it goes on unseen.
 */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

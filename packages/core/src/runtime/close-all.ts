/** Closes what was opened, all of it, whatever fails on the way. */

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

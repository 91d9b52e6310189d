/** Several things that are opened one after the other, and closed in reverse whatever happens. */

/**
 * Runs `work`. What it hands to `onEnd` runs afterwards, the last first, and each of them even where another one fails.
 *
 * @throws what the work threw, otherwise the first thing that closing threw
 */
export async function withClosing<T>(work: (onEnd: (close: () => Promise<unknown>) => void) => Promise<T>): Promise<T> {
  const closes: (() => Promise<unknown>)[] = [];
  const failures: unknown[] = [];
  const closeAll = async () => {
    for (const close of closes.reverse()) await close().catch((error: unknown) => failures.push(error));
  };
  let result: T;
  try {
    result = await work((close) => closes.push(close));
  } catch (error) {
    await closeAll();
    throw error;
  }
  await closeAll();
  if (failures.length > 0) throw failures[0];
  return result;
}

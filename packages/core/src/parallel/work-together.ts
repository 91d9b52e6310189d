/** Steps of work that ranks take together, so that where one fails none waits for it. Without a communicator there is one rank. */
import { ConfigError } from "../errors.js";
import { type Communicator, RankError } from "./communicator.js";

type Ranks = Communicator | undefined;

/** Whether this rank writes, and speaks for all. */
export const isFirst = (ranks: Ranks): boolean => ranks === undefined || ranks.rank === 0;

/**
 * Every rank does its part.
 *
 * @param topic what is done, the same on all ranks
 * @throws RankError on all ranks when it fails on one; without ranks the error itself
 */
export async function together<T>(ranks: Ranks, topic: string, action: () => Promise<T>): Promise<T> {
  if (ranks === undefined) return action();
  let result: T;
  try {
    result = await action();
  } catch (error) {
    return ranks.fail(error);
  }
  await ranks.gather(topic, null);
  return result;
}

/**
 * The first rank does it, the others wait.
 *
 * @returns the result on all ranks, as JSON
 * @throws RankError on all ranks when it fails; without ranks the error itself
 */
export async function onFirst<T>(ranks: Ranks, topic: string, action: () => Promise<T>): Promise<T> {
  if (ranks === undefined) return action();
  let outcome: { readonly result: T } | { readonly error: unknown } | undefined;
  if (ranks.rank === 0) {
    try {
      outcome = { result: await action() };
    } catch (error) {
      outcome = { error };
    }
  }
  await ranks.wait();
  if (outcome !== undefined && "error" in outcome) return ranks.fail(outcome.error);
  const [first] = await ranks.gather(topic, outcome?.result ?? null);
  return outcome?.result ?? (first as T);
}

/**
 * Checks that all ranks have the same.
 *
 * @param facts what has to be the same, by what it is called in messages
 * @throws RankError naming the rank that has something else than the first, and what
 */
export async function requireSame(ranks: Ranks, facts: Readonly<Record<string, string>>): Promise<void> {
  if (ranks === undefined) return;
  const all = await ranks.gather("comparing", facts);
  for (const [rank, theirs] of all.entries()) {
    const different = Object.keys(facts).filter((name) => theirs[name] !== all[0]?.[name]);
    const [name] = different;
    if (name === undefined) continue;
    const short = (text: string | undefined) => (text !== undefined && text.length <= 40 ? ` (${text})` : "");
    throw new RankError(
      `${ranks.names[rank]}: has another ${different.join(", ")} than ${ranks.names[0]}` +
        (short(theirs[name]) === "" ? "" : `:${short(theirs[name])} and${short(all[0]?.[name])}`),
      rank,
      { hint: "All ranks need the same program, settings and files." },
    );
  }
}

/** @throws ConfigError when a batch can't be divided among the ranks */
export function rowsPerRank(batch: number, ranks: number, name: string): number {
  if (batch % ranks === 0) return batch / ranks;
  throw new ConfigError(`${name}: a batch of ${batch} can't be divided among ${ranks} ranks`, {
    hint: `Take a batch that is a multiple of ${ranks}, or as many ranks as divide it.`,
  });
}

/** What somebody may have meant who wrote a name that isn't known. */

/**
 * The nearest of `names` by edit distance (ignoring case), or undefined when none is close.
 * Close means that at most a third of the longer name differs.
 */
export function closestName(name: string, names: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  // A text of any length may come in here; what is far longer than every name is close to none.
  const wanted = name.toLowerCase().slice(0, 200);
  for (const candidate of names) {
    const distance = editDistance(wanted, candidate.toLowerCase());
    if (distance < bestDistance && 3 * distance <= Math.max(wanted.length, candidate.length)) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Levenshtein distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}

/** The same as the end of a message: `; did you mean "cat"?`, or nothing. */
export function didYouMean(name: string, names: Iterable<string>): string {
  const guess = closestName(name, names);
  return guess === undefined ? "" : `; did you mean ${JSON.stringify(guess)}?`;
}

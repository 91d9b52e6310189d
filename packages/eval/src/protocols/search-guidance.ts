/**
 * The guidance scale with the best distance to a reference, as the published models' scales were found (diffusion.md section 11): a
 * ternary search over a grid, which asks for few scales. It takes for granted that the distance falls and then rises along the grid.
 */
import { ConfigError } from "@dcae/core";

const steps = (from: number, to: number, step: number): number[] =>
  Array.from({ length: Math.round((to - from) / step) + 1 }, (_, i) => Number((from + i * step).toFixed(2)));

/** The published grid. */
export const GUIDANCE_GRID: readonly number[] = [
  ...steps(1, 1.3, 0.05),
  ...steps(1.4, 2, 0.1),
  ...steps(2.2, 3, 0.2),
  ...steps(3.5, 5, 0.5),
  ...steps(6, 10, 1),
];

export interface GuidanceSearch {
  /** The scale with the smallest distance of all that were tried; the smaller scale where two are equal. */
  readonly best: number;
  /** Every scale that was asked for, in ascending order. */
  readonly tried: readonly { readonly scale: number; readonly distance: number }[];
}

/**
 * @param distanceAt smaller is better; asked once for each scale
 * @param grid ascending
 * @throws ConfigError for a grid that isn't, and a distance that isn't a number
 */
export async function searchGuidance(
  distanceAt: (scale: number) => Promise<number>,
  grid: readonly number[] = GUIDANCE_GRID,
): Promise<GuidanceSearch> {
  const isGrid = grid.length > 0 && grid.every((scale, i) => scale >= 0 && scale > (grid[i - 1] ?? -1));
  if (!isGrid) throw new ConfigError(`guidance scales must be ascending numbers of at least 0, got ${grid.join(", ")}`);
  const found = new Map<number, number>();
  const at = async (index: number): Promise<number> => {
    const known = found.get(index);
    if (known !== undefined) return known;
    const scale = grid[index] as number;
    const distance = await distanceAt(scale);
    if (!Number.isFinite(distance)) throw new ConfigError(`guidance ${scale}: its distance is ${distance}`);
    found.set(index, distance);
    return distance;
  };
  let [low, high] = [0, grid.length - 1];
  while (high - low > 2) {
    const third = Math.floor((high - low) / 3);
    const [left, right] = [low + third, high - third];
    // The minimum isn't beyond the worse of the two.
    if ((await at(left)) <= (await at(right))) high = right - 1;
    else low = left + 1;
  }
  for (let index = low; index <= high; index++) await at(index);
  const tried = [...found]
    .sort(([a], [b]) => a - b)
    .map(([index, distance]) => ({ scale: grid[index] as number, distance }));
  const smallest = Math.min(...found.values());
  return { best: (tried.find(({ distance }) => distance === smallest) as (typeof tried)[number]).scale, tried };
}

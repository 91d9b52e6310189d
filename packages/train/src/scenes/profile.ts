/**
 * Outlines that depend on x alone, such as crests of mountains: computed once per column, and used to leave out what
 * nearer layers hide.
 */
import type { Canvas } from "./canvas.js";

/** The outline's y for each column of pixels. */
export function columnProfile(canvas: Canvas, outline: (x: number) => number): Float64Array {
  return Float64Array.from({ length: canvas.width }, (_, column) => outline((column + 0.5) * canvas.pixel));
}

/** The smallest y (highest point) of an outline. */
export function lowestOf(profile: Float64Array): number {
  return profile.reduce((lowest, y) => Math.min(lowest, y), Number.POSITIVE_INFINITY);
}

/** For each layer (far to near) and column the y below which nearer layers cover it, with a margin for smooth edges. */
export function coveredFrom(profiles: readonly Float64Array[]): Float64Array[] {
  const width = profiles[0]?.length ?? 0;
  let nearest: Float64Array = new Float64Array(width).fill(Number.POSITIVE_INFINITY);
  const covers: Float64Array[] = [];
  for (const profile of [...profiles].reverse()) {
    covers.unshift(nearest.map((y) => y + 0.012));
    const above = nearest;
    nearest = profile.map((y, column) => Math.min(y, above[column] as number));
  }
  return covers;
}

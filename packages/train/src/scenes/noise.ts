/**
 * Lattice noise: smooth random functions of the plane from an integer hash.
 *
 * Gradient noise after K. Perlin, "Improving Noise" (2002), cell noise after S. Worley (1996). Integer hashing and
 * + - * / only, so that a scene has the same pixels on every platform.
 */

// Odd multipliers that spread lattice coordinates and seeds over 32 bits before they are mixed.
export const SPREAD_X = 0x27d4eb2d;
export const SPREAD_Y = 0x165667b1;
const SPREAD_SEED = 0x9e3779b1;

/** The seed's part of a hash. */
export function spreadSeed(seed: number): number {
  return Math.imul(seed, SPREAD_SEED);
}

/** Mixes 32 bits well (two rounds of MurmurHash3's finalizer), to a signed integer. */
export function mixBits(bits: number): number {
  let h = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** A hash of a lattice point, as a signed 32-bit integer. */
export function hash(x: number, y: number, seed: number): number {
  return mixBits(Math.imul(x, SPREAD_X) ^ Math.imul(y, SPREAD_Y) ^ spreadSeed(seed));
}

/** A hash as number in [0, 1). */
export function hashUnit(x: number, y: number, seed: number): number {
  return (hash(x, y, seed) >>> 0) / 4294967296;
}

/** Dot product of a lattice point's random gradient with an offset. */
function gradientAt(h: number, dx: number, dy: number): number {
  return (((h & 0xffff) - 32767.5) * dx + ((h >>> 16) - 32767.5) * dy) * (1 / 32768);
}

/** Gradient noise, about -1 to 1 (mostly within 0.5), mean 0, features of size 1. */
export function noise(x: number, y: number, seed: number): number {
  const ix = Math.floor(x);
  const iy = Math.floor(y);
  const dx = x - ix;
  const dy = y - iy;
  const sx = dx * dx * dx * (dx * (dx * 6 - 15) + 10);
  const sy = dy * dy * dy * (dy * (dy * 6 - 15) + 10);
  // hash() of the four corners; a product with the next coordinate is one addition away.
  const left = Math.imul(ix, SPREAD_X);
  const right = (left + SPREAD_X) | 0;
  const top = Math.imul(iy, SPREAD_Y);
  const upper = top ^ spreadSeed(seed);
  const lower = (top + SPREAD_Y) ^ spreadSeed(seed);
  const a = gradientAt(mixBits(left ^ upper), dx, dy);
  const b = gradientAt(mixBits(right ^ upper), dx - 1, dy);
  const c = gradientAt(mixBits(left ^ lower), dx, dy - 1);
  const d = gradientAt(mixBits(right ^ lower), dx - 1, dy - 1);
  const above = a + sx * (b - a);
  return 1.4 * (above + sy * (c + sx * (d - c) - above));
}

/**
 * Octaves that a texture of `frequency` (features per unit) can have before its details fall below two pixels.
 *
 * @returns 1 to `most`
 */
export function octavesFor(frequency: number, pixel: number, most: number): number {
  let octaves = 1;
  for (let detail = frequency * 2; octaves < most && detail * pixel < 0.5; detail *= 2) octaves++;
  return octaves;
}

/** Octaves of noise, each twice as fine and `gain` as strong; about -1 to 1, mean 0. */
export function fractal(x: number, y: number, octaves: number, seed: number, gain = 0.5): number {
  let sum = 0;
  let amplitude = 1;
  let px = x;
  let py = y;
  for (let octave = 0; octave < octaves; octave++) {
    sum += amplitude * noise(px, py, seed + octave);
    amplitude *= gain;
    // Twice as fine and turned by 36.87 degrees (a 3-4-5 triangle), which hides the lattice.
    const turned = 1.6 * px - 1.2 * py + 17.3;
    py = 1.2 * px + 1.6 * py - 9.1;
    px = turned;
  }
  return sum;
}

/** Octaves of folded noise: sharp crests as of mountains, 0 to about 1. */
export function ridges(x: number, y: number, octaves: number, seed: number): number {
  let sum = 0;
  let amplitude = 0.5;
  let weight = 1;
  let px = x;
  let py = y;
  for (let octave = 0; octave < octaves; octave++) {
    const folded = 1 - Math.min(Math.abs(noise(px, py, seed + octave)) * 1.6, 1);
    const crest = folded * folded * weight;
    sum += amplitude * crest;
    // Detail gathers on crests; valleys stay smooth.
    weight = Math.min(crest * 2, 1);
    amplitude *= 0.5;
    const turned = 1.6 * px - 1.2 * py + 5.7;
    py = 1.2 * px + 1.6 * py + 3.1;
    px = turned;
  }
  return sum;
}

/** Result of `cells`. */
export interface Cell {
  /** Distance to the nearest point. */
  nearest: number;
  /** Distance to the second nearest point; equal on the border between cells. */
  second: number;
  /** Hash of the nearest point, which tells cells apart. */
  id: number;
}

/** Cell noise: distances to random points, one per unit square. Writes to `out` and returns it. */
export function cells(x: number, y: number, seed: number, out: Cell): Cell {
  const ix = Math.floor(x);
  const iy = Math.floor(y);
  let nearest = 9;
  let second = 9;
  let id = 0;
  for (let cy = iy - 1; cy <= iy + 1; cy++) {
    for (let cx = ix - 1; cx <= ix + 1; cx++) {
      const h = hash(cx, cy, seed);
      const dx = cx + (h & 0xffff) / 65536 - x;
      const dy = cy + (h >>> 16) / 65536 - y;
      const distance = dx * dx + dy * dy;
      if (distance < nearest) {
        second = nearest;
        nearest = distance;
        id = h;
      } else if (distance < second) second = distance;
    }
  }
  out.nearest = Math.sqrt(nearest);
  out.second = Math.sqrt(second);
  out.id = id;
  return out;
}

/**
 * The shape of the land. Height fields with exact slopes, for shading: gradient noise and its derivatives in one evaluation. With
 * `erosion`, finer octaves are damped where the ground is steep already, which leaves sharp crests and smooth valleys as water does
 * (a known trick of procedural terrain). And outlines that depend on x alone, such as crests of mountains: computed once per column,
 * and used to leave out what nearer layers hide.
 */

import type { Canvas } from "./canvas.js";
import { mixBits, SPREAD_X, SPREAD_Y, spreadSeed } from "./noise.js";

/** A height and its derivatives along x and y. Written by `relief`. */
export interface Relief {
  height: number;
  slopeX: number;
  slopeY: number;
}

export function createRelief(): Relief {
  return { height: 0, slopeX: 0, slopeY: 0 };
}

const UNIT = 1.4 / 32768;

/**
 * Octaves of gradient noise at (x, y) with slopes, into `out`.
 *
 * @param gain strength of each octave relative to the one before; 0.5 halves
 * @param erosion 0 for plain noise, about 1 for mountains
 */
export function relief(
  x: number,
  y: number,
  octaves: number,
  seed: number,
  gain: number,
  erosion: number,
  out: Relief,
): void {
  let height = 0;
  let slopeX = 0;
  let slopeY = 0;
  let amplitude = 1;
  let px = x;
  let py = y;
  // Rows of the map from (x, y) to this octave's coordinates: (cos, -sin), (sin, cos), times its frequency.
  let cos = 1;
  let sin = 0;
  for (let octave = 0; octave < octaves; octave++) {
    const ix = Math.floor(px);
    const iy = Math.floor(py);
    const dx = px - ix;
    const dy = py - iy;
    // The hashes of the four corners, as in noise().
    const left = Math.imul(ix, SPREAD_X);
    const right = (left + SPREAD_X) | 0;
    const top = Math.imul(iy, SPREAD_Y);
    const spread = spreadSeed(seed + octave);
    const ha = mixBits(left ^ top ^ spread);
    const hb = mixBits(right ^ top ^ spread);
    const hc = mixBits(left ^ (top + SPREAD_Y) ^ spread);
    const hd = mixBits(right ^ (top + SPREAD_Y) ^ spread);
    const ax = (ha & 0xffff) - 32767.5;
    const ay = (ha >>> 16) - 32767.5;
    const bx = (hb & 0xffff) - 32767.5;
    const by = (hb >>> 16) - 32767.5;
    const cx = (hc & 0xffff) - 32767.5;
    const cy = (hc >>> 16) - 32767.5;
    const ex = (hd & 0xffff) - 32767.5;
    const ey = (hd >>> 16) - 32767.5;
    const a = ax * dx + ay * dy;
    const b = bx * (dx - 1) + by * dy;
    const c = cx * dx + cy * (dy - 1);
    const d = ex * (dx - 1) + ey * (dy - 1);
    const sx = dx * dx * dx * (dx * (dx * 6 - 15) + 10);
    const sy = dy * dy * dy * (dy * (dy * 6 - 15) + 10);
    const tx = 30 * dx * dx * (dx * (dx - 2) + 1);
    const ty = 30 * dy * dy * (dy * (dy - 2) + 1);
    const k = a - b - c + d;
    const value = (a + sx * (b - a) + sy * (c - a) + sx * sy * k) * UNIT;
    const gx = (ax + sx * (bx - ax) + sy * (cx - ax) + sx * sy * (ax - bx - cx + ex) + tx * (b - a + sy * k)) * UNIT;
    const gy = (ay + sx * (by - ay) + sy * (cy - ay) + sx * sy * (ay - by - cy + ey) + ty * (c - a + sx * k)) * UNIT;
    const damping = amplitude / (1 + erosion * (slopeX * slopeX + slopeY * slopeY));
    height += damping * value;
    slopeX += damping * (cos * gx + sin * gy);
    slopeY += damping * (cos * gy - sin * gx);
    amplitude *= gain;
    const turned = 1.6 * px - 1.2 * py + 17.3;
    py = 1.2 * px + 1.6 * py - 9.1;
    px = turned;
    const nextCos = 1.6 * cos - 1.2 * sin;
    sin = 1.2 * cos + 1.6 * sin;
    cos = nextCos;
  }
  out.height = height;
  out.slopeX = slopeX;
  out.slopeY = slopeY;
}

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

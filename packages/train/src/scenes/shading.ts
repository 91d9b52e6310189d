/**
 * Small helpers of shaders: colors, interpolation, coverage of edges.
 */
import type { Random } from "@dcae/core/graph";
import type { Color } from "./canvas.js";

/** A color from its usual display code, such as 0x8fb4d9, in linear light (the display curve is a square root here). */
export function hex(code: number): Color {
  const light = (shift: number) => (((code >> shift) & 255) / 255) * (((code >> shift) & 255) / 255);
  return [light(16), light(8), light(0)];
}

export function clamp(value: number, low = 0, high = 1): number {
  return value < low ? low : value > high ? high : value;
}

export function mix(a: number, b: number, t: number): number {
  return a + (b - a) * t;
}

/** 0 below `low`, 1 above `high`, smooth in between. */
export function smoothstep(low: number, high: number, value: number): number {
  const t = clamp((value - low) / (high - low));
  return t * t * (3 - 2 * t);
}

/** Coverage of a pixel by a shape whose border is `distance` away (negative inside). */
export function coverage(distance: number, pixel: number): number {
  return clamp(0.5 - distance / pixel);
}

/** `out = a + (b - a) t`. */
export function blend(out: Color, a: Color, b: Color, t: number): void {
  out[0] = a[0] + (b[0] - a[0]) * t;
  out[1] = a[1] + (b[1] - a[1]) * t;
  out[2] = a[2] + (b[2] - a[2]) * t;
}

/** Moves `out` toward `color` by `t`. */
export function tint(out: Color, color: Color, t: number): void {
  blend(out, out, color, t);
}

/** `out = color * light`. */
export function lit(out: Color, color: Color, light: number): void {
  out[0] = color[0] * light;
  out[1] = color[1] * light;
  out[2] = color[2] * light;
}

/** Adds light. */
export function add(out: Color, color: Color, amount: number): void {
  out[0] += color[0] * amount;
  out[1] += color[1] * amount;
  out[2] += color[2] * amount;
}

/** A uniform number in [low, high). */
export function between(random: Random, low: number, high: number): number {
  return low + (high - low) * random.nextUniform();
}

export function pick<T>(random: Random, items: readonly [T, ...T[]]): T {
  return items[random.nextInteger(items.length)] as T;
}

/** A color near `color`: each channel times 1 +- `spread`, and all of them together by as much. */
export function vary(random: Random, color: Color, spread: number): Color {
  const light = between(random, 1 - spread, 1 + spread);
  const channel = (value: number) => value * light * between(random, 1 - spread / 2, 1 + spread / 2);
  return [channel(color[0]), channel(color[1]), channel(color[2])];
}

/** Distance from (x, y) to the segment from (ax, ay) to (bx, by). */
export function segmentDistance(x: number, y: number, ax: number, ay: number, bx: number, by: number): number {
  const dx = bx - ax;
  const dy = by - ay;
  const t = clamp(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy + 1e-12));
  const ex = x - ax - t * dx;
  const ey = y - ay - t * dy;
  return Math.sqrt(ex * ex + ey * ey);
}

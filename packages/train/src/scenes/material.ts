/**
 * Surfaces of things on a table: plain, stripes, checkers, marble, wood, speckles, in pairs of colors.
 */
import type { Random } from "@dcae/core/graph";
import type { Color } from "./canvas.js";
import { fractal, noise } from "./noise.js";
import { between, blend, clamp, hex, lit, pick, smoothstep, tint, vary } from "./shading.js";
import type { Solid } from "./trace.js";

export type Surface = "plain" | "stripes" | "marble" | "wood" | "checker" | "speckle";

export interface Material {
  readonly surface: Surface;
  readonly first: Color;
  readonly second: Color;
  /** Share of light that is mirrored, 0 to 1. */
  readonly mirror: number;
  readonly scale: number;
  readonly seed: number;
}

const PAIRS: readonly [readonly [number, number], ...(readonly [number, number])[]] = [
  [0xc8372d, 0xf2e6d0],
  [0x2d5fa8, 0xe8edf2],
  [0xe0a52e, 0x5a3a1c],
  [0x3f7f5a, 0xd8e4c4],
  [0x7a4a8a, 0xe6c8d8],
  [0xd8d4cc, 0x6a6a70],
  [0xd9702e, 0x2a3a4a],
  [0x2f8a94, 0xf0d8a0],
];

const DARK_WOOD: Color = [0.32, 0.16, 0.07];
const PALE_WOOD: Color = [0.62, 0.4, 0.2];

export function randomMaterial(
  random: Random,
  surfaces: readonly [Surface, ...Surface[]],
  mirrors: readonly [number, ...number[]],
): Material {
  const [first, second] = pick(random, PAIRS);
  return {
    surface: pick(random, surfaces),
    first: vary(random, hex(first), 0.15),
    second: vary(random, hex(second), 0.1),
    mirror: pick(random, mirrors),
    scale: between(random, 0.7, 1.5),
    seed: random.nextUint32(),
  };
}

/** The surface's own color; returns which part of a pattern is seen (0 where there are no sharp edges). */
export function texture(
  material: Material,
  index: number,
  solid: Solid | undefined,
  octaves: number,
  x: number,
  y: number,
  z: number,
  nx: number,
  ny: number,
  nz: number,
  out: Color,
): number {
  const { surface, first, second, scale, seed } = material;
  const lx = x - (solid?.center[0] ?? 0);
  const lz = z - (solid?.center[2] ?? 0);
  const wall = index === -2;
  if (surface === "checker") {
    const size = 2.2 * scale * (solid === undefined ? 1 : 2.2);
    // On upright faces the height counts, on flat ones the depth.
    const across = Math.abs(nz) > 0.5 || ny > 0.5 ? lx : lz;
    const parity = (Math.floor(across * size + 100) + Math.floor((ny > 0.5 ? lz : y) * size + 100)) & 1;
    const wear = 0.92 + 0.12 * fractal(x * 4, z * 4 + y * 4, 4, seed);
    lit(out, parity === 0 ? first : second, wear);
    return 1 + parity;
  }
  if (surface === "stripes") {
    const band = Math.floor((wall ? x : y + lx * 0.25) * 5.5 * scale + 100) & 1;
    lit(out, band === 0 ? first : second, wall ? 0.75 : 1);
    return 1 + band;
  }
  if (surface === "marble") {
    const swirl = fractal(x * 2.2 * scale + y, z * 2.2 * scale - y * 1.3, octaves, seed, 0.55);
    const vein = 1 - Math.abs(swirl) * 5;
    blend(out, second, first, 0.15 + 0.3 * clamp(0.5 + swirl));
    tint(out, first, clamp(vein) * 0.7);
    return 0;
  }
  if (surface === "wood") {
    const grainX = solid === undefined ? x * 0.35 : lx + 0.4;
    const grainZ = solid === undefined ? z : lz + y * 0.7 + 0.3;
    const bend = noise(grainX * 1.6, grainZ * 1.6, seed) * 0.4;
    const ring = (Math.sqrt(grainX * grainX * 0.3 + grainZ * grainZ * 3) + bend) * 7 * scale;
    const phase = ring - Math.floor(ring);
    const fiber = noise(x * 5, (z + y) * 70, seed + 1) * 0.2;
    blend(out, PALE_WOOD, DARK_WOOD, clamp(phase * phase * 0.9 + fiber + 0.1));
    if (solid === undefined) {
      const plank = Math.floor(z * 1.6 + 50);
      const tone = 0.8 + 0.35 * (0.5 + noise(plank * 3.7, 0.5, seed + 2));
      const gap = smoothstep(0, 0.02, Math.abs(z * 1.6 + 50 - plank - 0.5) < 0.485 ? 1 : 0);
      lit(out, out, tone * (0.35 + 0.65 * gap));
    }
    return 0;
  }
  const rough = 0.95 + 0.1 * fractal(x * 9, y * 9 + z * 9, 3, seed);
  lit(out, wall ? second : first, rough * (wall ? 0.8 + 0.2 * noise(x * 0.7, y * 0.7, seed) : 1));
  if (surface === "speckle") {
    const spots = noise((nx + x) * 9, (ny + y) * 9 + nz * 7, seed + 4);
    tint(out, wall ? first : second, smoothstep(0.18, 0.26, spots) * (wall ? 0.35 : 0.9));
  }
  return 0;
}

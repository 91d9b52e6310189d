/**
 * A small ray tracer: spheres, boxes and upright cylinders with surfaces (plain, stripes, checkers, marble, wood, speckles, in pairs of
 * colors), for scenes of things on a table.
 *
 * Space: x to the right, y up, z away from the viewer. Rays carry no state; hits are written to one record.
 */
import type { Random } from "@dcae/core/graph";
import type { Color } from "./canvas.js";
import { fractal, noise } from "./noise.js";
import { between, blend, clamp, hex, lit, pick, smoothstep, tint, vary } from "./shading.js";

export type Vector = readonly [x: number, y: number, z: number];

export type Solid =
  | { readonly form: "sphere"; readonly center: Vector; readonly radius: number }
  /** Turned about its vertical axis by the angle whose cosine and sine are given. */
  | { readonly form: "box"; readonly center: Vector; readonly half: Vector; readonly cos: number; readonly sin: number }
  | { readonly form: "cylinder"; readonly center: Vector; readonly radius: number; readonly half: number };

/** Where a ray meets a solid. */
export interface Hit {
  /** Distance along the ray. */
  t: number;
  /** Which solid; -1 for none. */
  index: number;
  normal: [number, number, number];
}

export function createHit(): Hit {
  return { t: Number.POSITIVE_INFINITY, index: -1, normal: [0, 0, 0] };
}

const NEAR = 1e-4;

/** The nearest solid along a ray with unit direction (dx, dy, dz), written to `hit`; returns whether there is one. */
export function trace(
  solids: readonly Solid[],
  ox: number,
  oy: number,
  oz: number,
  dx: number,
  dy: number,
  dz: number,
  hit: Hit,
): boolean {
  hit.t = Number.POSITIVE_INFINITY;
  hit.index = -1;
  for (let index = 0; index < solids.length; index++) {
    const solid = solids[index] as Solid;
    const x = ox - solid.center[0];
    const y = oy - solid.center[1];
    const z = oz - solid.center[2];
    const before = hit.t;
    if (solid.form === "sphere") meetSphere(solid.radius, x, y, z, dx, dy, dz, hit);
    else if (solid.form === "cylinder") meetCylinder(solid.radius, solid.half, x, y, z, dx, dy, dz, hit);
    else {
      const { cos, sin, half } = solid;
      const found = meetBox(
        half,
        cos * x + sin * z,
        y,
        cos * z - sin * x,
        cos * dx + sin * dz,
        dy,
        cos * dz - sin * dx,
        hit,
      );
      if (found) {
        const nx = hit.normal[0];
        const nz = hit.normal[2];
        hit.normal[0] = cos * nx - sin * nz;
        hit.normal[2] = sin * nx + cos * nz;
      }
    }
    if (hit.t < before) hit.index = index;
  }
  return hit.index >= 0;
}

function meetSphere(
  radius: number,
  x: number,
  y: number,
  z: number,
  dx: number,
  dy: number,
  dz: number,
  hit: Hit,
): void {
  const b = x * dx + y * dy + z * dz;
  const discriminant = b * b - (x * x + y * y + z * z - radius * radius);
  if (discriminant < 0) return;
  const t = -b - Math.sqrt(discriminant);
  if (t < NEAR || t >= hit.t) return;
  hit.t = t;
  hit.normal[0] = (x + t * dx) / radius;
  hit.normal[1] = (y + t * dy) / radius;
  hit.normal[2] = (z + t * dz) / radius;
}

function meetCylinder(
  radius: number,
  half: number,
  x: number,
  y: number,
  z: number,
  dx: number,
  dy: number,
  dz: number,
  hit: Hit,
): void {
  const a = dx * dx + dz * dz + 1e-12;
  const b = x * dx + z * dz;
  const discriminant = b * b - a * (x * x + z * z - radius * radius);
  if (discriminant < 0) return;
  const side = (-b - Math.sqrt(discriminant)) / a;
  const height = y + side * dy;
  if (side > NEAR && side < hit.t && Math.abs(height) <= half) {
    hit.t = side;
    hit.normal[0] = (x + side * dx) / radius;
    hit.normal[1] = 0;
    hit.normal[2] = (z + side * dz) / radius;
  }
  const lid = (half - y) / dy;
  const px = x + lid * dx;
  const pz = z + lid * dz;
  if (dy < 0 && lid > NEAR && lid < hit.t && px * px + pz * pz <= radius * radius) {
    hit.t = lid;
    hit.normal[0] = 0;
    hit.normal[1] = 1;
    hit.normal[2] = 0;
  }
}

/** Slab test in the box's own axes; the normal is in them too. */
function meetBox(half: Vector, x: number, y: number, z: number, dx: number, dy: number, dz: number, hit: Hit): boolean {
  const ix = 1 / (dx === 0 ? 1e-12 : dx);
  const iy = 1 / (dy === 0 ? 1e-12 : dy);
  const iz = 1 / (dz === 0 ? 1e-12 : dz);
  const reachX = half[0] * Math.abs(ix);
  const reachY = half[1] * Math.abs(iy);
  const reachZ = half[2] * Math.abs(iz);
  const nearX = -x * ix - reachX;
  const nearY = -y * iy - reachY;
  const nearZ = -z * iz - reachZ;
  const enter = Math.max(nearX, nearY, nearZ);
  const leave = Math.min(-x * ix + reachX, -y * iy + reachY, -z * iz + reachZ);
  if (enter > leave || enter < NEAR || enter >= hit.t) return false;
  hit.t = enter;
  hit.normal[0] = enter === nearX ? -Math.sign(dx) : 0;
  hit.normal[1] = enter === nearY ? -Math.sign(dy) : 0;
  hit.normal[2] = enter === nearZ ? -Math.sign(dz) : 0;
  return true;
}

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

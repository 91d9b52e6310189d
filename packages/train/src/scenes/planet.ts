/** Space: a planet with weather or bands, its ring and moon, in front of stars and a nebula. */
import type { Random } from "@dcae/core/graph";
import { type Canvas, type Color, paint } from "./canvas.js";
import { fractal, hash, noise, octavesFor } from "./noise.js";
import { createRelief, relief } from "./relief.js";
import { between, blend, clamp, coverage, hex, pick, smoothstep, tint, vary } from "./shading.js";

/** Direction to the sun: a unit vector, z toward the viewer. */
type Direction = readonly [x: number, y: number, z: number];

interface Ball {
  readonly x: number;
  readonly y: number;
  readonly radius: number;
}

export function planet(canvas: Canvas, random: Random): void {
  const sun = direction(between(random, -0.9, 0.9), between(random, -0.6, 0.3), between(random, 0.35, 0.8));
  paintNebula(canvas, random);
  const radius = between(random, 0.22, 0.42);
  const ball: Ball = {
    x: between(random, 0.3, 0.7) * canvas.aspect,
    y: between(random, 0.35, 0.65),
    radius,
  };
  const kind = random.nextInteger(3);
  const ring = kind === 1 && random.nextUniform() < 0.75 ? ringOf(random, radius) : undefined;
  if (ring !== undefined) paintRing(canvas, ball, ring, sun, -1);
  if (kind === 0) paintOcean(canvas, random, ball, sun);
  else if (kind === 1) paintGasGiant(canvas, random, ball, sun);
  else paintRock(canvas, random, ball, sun, hex(pick(random, [0xb5653a, 0xa09a92, 0xc8a878])));
  if (ring !== undefined) paintRing(canvas, ball, ring, sun, 1);
  if (random.nextUniform() < 0.7) {
    const side = random.nextUniform() < 0.5 ? -1 : 1;
    const moon: Ball = {
      x: ball.x + side * radius * between(random, 1.1, 1.7),
      y: ball.y + radius * between(random, -0.9, 0.9),
      radius: between(random, 0.03, 0.09),
    };
    paintRock(canvas, random, moon, sun, hex(0x9a968e));
  }
}

function direction(x: number, y: number, z: number): Direction {
  const length = Math.sqrt(x * x + y * y + z * z);
  return [x / length, y / length, z / length];
}

function paintNebula(canvas: Canvas, random: Random): void {
  const [first, second] = pick(random, [
    [0x5a2f8a, 0x1f6f9a],
    [0x8a2f4a, 0x3a3f8a],
    [0x1f5f6a, 0x6a4a2a],
    [0x2f4a8a, 0x8a4a7a],
  ]).map(hex) as [Color, Color];
  const seed = random.nextUint32();
  const octaves = octavesFor(2.2, canvas.pixel, 5);
  // Stars are points of a fixed size in pixels, on a lattice of the scene: the same ones at every resolution.
  const cell = 1 / 64;
  paint(canvas, (x, y, out) => {
    const bend = fractal(x * 1.7, y * 1.7, 2, seed + 20);
    const gas = fractal(x * 2.2 + bend, y * 2.2 - bend, octaves, seed, 0.55);
    const veil = fractal(x * 1.1 - bend, y * 1.1, 2, seed + 40);
    const amount = smoothstep(-0.25, 0.8, gas + veil * 0.7);
    blend(out, first, second, smoothstep(-0.4, 0.4, veil));
    const light = amount * amount * 0.75;
    out[0] = 0.003 + out[0] * light;
    out[1] = 0.004 + out[1] * light;
    out[2] = 0.009 + out[2] * light;
    const dust = smoothstep(0.1, 0.6, fractal(x * 5 + 9, y * 5, Math.min(octaves, 3), seed + 60));
    tint(out, [0.002, 0.002, 0.004], dust * 0.6);
    const ix = Math.floor(x / cell);
    const iy = Math.floor(y / cell);
    const h = hash(ix, iy, seed + 80);
    const rank = (h & 0xff) / 256;
    if (rank < 0.7) return 1;
    // Few stars are bright, most are faint.
    const brightness = (rank - 0.7) / 0.3;
    const power = brightness * brightness * brightness;
    const sx = (ix + 0.25 + (0.5 * ((h >>> 8) & 0xff)) / 255) * cell - x;
    const sy = (iy + 0.25 + (0.5 * ((h >>> 16) & 0xff)) / 255) * cell - y;
    const size = 0.0012 + 0.0022 * power * power + canvas.pixel * 0.3;
    const near = 1 - (sx * sx + sy * sy) / (4 * size * size);
    if (near > 0) {
      const warmth = (h >>> 24) / 255;
      const glow = near * near * near * (0.08 + 1.5 * power);
      out[0] += glow * (0.75 + 0.35 * warmth);
      out[1] += glow * 0.9;
      out[2] += glow * (1.15 - 0.4 * warmth);
    }
    return 1;
  });
}

/** Paints a ball; `surface` gets the normal and writes the color that sunlight shows. */
function paintBall(
  canvas: Canvas,
  ball: Ball,
  sun: Direction,
  surface: (nx: number, ny: number, nz: number, light: number, out: Color) => void,
): void {
  const { x: x0, y: y0, radius } = ball;
  paint(
    canvas,
    (x, y, out) => {
      const nx = (x - x0) / radius;
      const ny = (y - y0) / radius;
      const d2 = nx * nx + ny * ny;
      const opacity = coverage((Math.sqrt(d2) - 1) * radius, canvas.pixel);
      if (opacity === 0) return 0;
      const nz = Math.sqrt(Math.max(1 - d2, 0));
      surface(nx, ny, nz, nx * sun[0] + ny * sun[1] + nz * sun[2], out);
      return opacity;
    },
    { left: x0 - radius * 1.02, top: y0 - radius * 1.02, right: x0 + radius * 1.02, bottom: y0 + radius * 1.02 },
  );
}

function paintAtmosphere(canvas: Canvas, ball: Ball, sun: Direction, color: Color): void {
  const { x: x0, y: y0, radius } = ball;
  paint(
    canvas,
    (x, y, out) => {
      const nx = (x - x0) / radius;
      const ny = (y - y0) / radius;
      const d = Math.sqrt(nx * nx + ny * ny);
      const lit = clamp(0.35 + (nx * sun[0] + ny * sun[1]) / (d + 0.01));
      out[0] = color[0];
      out[1] = color[1];
      out[2] = color[2];
      const rim = d < 1 ? smoothstep(0.72, 1, d) : smoothstep(1.12, 1, d);
      return 0.6 * rim * rim * lit;
    },
    { left: x0 - radius * 1.15, top: y0 - radius * 1.15, right: x0 + radius * 1.15, bottom: y0 + radius * 1.15 },
  );
}

function paintOcean(canvas: Canvas, random: Random, ball: Ball, sun: Direction): void {
  const seed = random.nextUint32();
  const sea = vary(random, hex(0x14406e), 0.2);
  const land = vary(random, hex(0x5d7a3a), 0.25);
  const desert = vary(random, hex(0xb59a63), 0.15);
  const octaves = octavesFor(2 / ball.radius, canvas.pixel, 7);
  const ground = createRelief();
  paintBall(canvas, ball, sun, (nx, ny, nz, light, out) => {
    // Unfolding the ball a little toward its rim makes features crowd there.
    const unfold = 1 + 0.5 / (0.35 + nz);
    const u = nx * unfold * 1.3;
    const v = ny * unfold * 1.3;
    relief(u, v, octaves, seed, 0.55, 0.05, ground);
    const height = ground.height - 0.05;
    const isLand = smoothstep(-0.015, 0.015, height);
    const dry = smoothstep(-0.1, 0.3, noise(u * 1.4, v * 2, seed + 30) + height * 0.5);
    blend(out, land, desert, dry);
    tint(out, hex(0xf2f4f6), smoothstep(0.75, 0.92, Math.abs(ny) + height * 0.3));
    const relieved = 1 - 0.25 * isLand * (ground.slopeX * sun[0] + ground.slopeY * sun[1]);
    const shallow = smoothstep(-0.35, 0, height);
    for (let c = 0; c < 3; c++) {
      const water = (sea[c] as number) * (1 + shallow * (c === 2 ? 0.5 : c === 1 ? 0.7 : 0.2));
      out[c] = water + ((out[c] as number) * relieved - water) * isLand;
    }
    // The sun's mirror image in the sea.
    const mirror = (nx * sun[0] + ny * sun[1] + nz * (sun[2] + 1)) / Math.sqrt(2 + 2 * sun[2]);
    const shine = 0.7 * smoothstep(0.93, 1.01, mirror) * (1 - isLand);
    const swirl = fractal(u * 0.8 + ny, v * 0.8, 3, seed + 60);
    const clouds = smoothstep(0.02, 0.55, fractal(u * 1.3 + swirl, v * 2.2 + swirl, octaves, seed + 70, 0.6) + 0.05);
    tint(out, [0.95, 0.96, 0.98], clouds * 0.92);
    const day = smoothstep(-0.06, 0.35, light) * (0.25 + 0.85 * clamp(light));
    for (let c = 0; c < 3; c++) out[c] = (out[c] as number) * day * 1.15 + shine * day;
  });
  paintAtmosphere(canvas, ball, sun, hex(0x8fc3ff));
}

function paintGasGiant(canvas: Canvas, random: Random, ball: Ball, sun: Direction): void {
  const [light, dark, accent] = pick(random, [
    [0xe8d2a8, 0xa8744a, 0xd9a066],
    [0xcfe0ea, 0x6a8fb0, 0x9fc0d8],
    [0xe6c9b0, 0x8a4f4a, 0xc98a6a],
    [0xd8dcc0, 0x7a8a5a, 0xb8b88a],
  ]).map(hex) as [Color, Color, Color];
  const seed = random.nextUint32();
  const tilt = between(random, -0.45, 0.45);
  const bands = between(random, 5, 11);
  const octaves = octavesFor(4 / ball.radius, canvas.pixel, 5);
  paintBall(canvas, ball, sun, (nx, ny, nz, facing, out) => {
    const along = nx + ny * tilt;
    const latitude = (ny - nx * tilt) / Math.sqrt(1 + tilt * tilt);
    const u = along * (1 + 0.5 / (0.35 + nz)) * 1.6;
    const stir = fractal(u * 1.5, latitude * 9, octaves, seed, 0.6);
    const fine = fractal(u * 0.7, latitude * bands * 2.4 + stir * 0.5, octaves, seed + 20, 0.6);
    const band = noise(0.5, latitude * bands * 0.5 + stir * 0.16, seed + 40);
    blend(out, light, dark, smoothstep(-0.3, 0.3, band + fine * 0.35));
    tint(out, accent, smoothstep(0.0, 0.4, noise(7.5, latitude * bands + stir * 0.3, seed + 60)) * 0.7);
    const dx = (along - 0.25) * 2.4;
    const dy = (latitude - 0.33) * 6;
    const storm = dx * dx + dy * dy;
    tint(out, [accent[0] * 0.9, accent[1] * 0.5, accent[2] * 0.4], smoothstep(1, 0.55, storm + stir * 0.4) * 0.7);
    const day = smoothstep(-0.08, 0.3, facing) * (0.2 + 0.9 * clamp(facing)) * (0.8 + 0.2 * nz);
    for (let c = 0; c < 3; c++) out[c] = (out[c] as number) * day;
  });
  paintAtmosphere(canvas, ball, sun, light);
}

function paintRock(canvas: Canvas, random: Random, ball: Ball, sun: Direction, color: Color): void {
  const seed = random.nextUint32();
  const octaves = octavesFor(2.5 / ball.radius, canvas.pixel, 7);
  const ground = createRelief();
  const stone = vary(random, color, 0.2);
  const craters = Array.from({ length: 26 }, () => {
    const small = random.nextUniform();
    return [between(random, -0.95, 0.95), between(random, -0.95, 0.95), 0.04 + 0.2 * small * small * small] as const;
  });
  paintBall(canvas, ball, sun, (nx, ny, nz, _, out) => {
    const unfold = 1 + 0.4 / (0.4 + nz);
    relief(nx * unfold * 2, ny * unfold * 2, octaves, seed, 0.6, 0.1, ground);
    let slopeX = ground.slopeX * 0.13;
    let slopeY = ground.slopeY * 0.13;
    let floor = 1;
    for (const [cx, cy, size] of craters) {
      const dx = nx - cx;
      const dy = ny - cy;
      const d2 = (dx * dx + dy * dy) / (size * size);
      if (d2 > 1.7) continue;
      // A bowl inside of a raised rim.
      const d = Math.sqrt(d2) + 1e-6;
      const wall = d < 1 ? 0.75 * smoothstep(0.45, 0.95, d) : -0.5 * smoothstep(1.3, 1.02, d);
      slopeX += (wall * dx) / (d * size);
      slopeY += (wall * dy) / (d * size);
      if (d < 0.8) floor *= 0.88;
    }
    const mx = nx - slopeX;
    const my = ny - slopeY;
    const length = Math.sqrt(mx * mx + my * my + nz * nz);
    const light = (mx * sun[0] + my * sun[1] + nz * sun[2]) / length;
    const patch = 0.8 + 0.35 * ground.height;
    const day = smoothstep(-0.02, 0.25, light) * (0.1 + 1.05 * clamp(light)) * patch * floor;
    for (let c = 0; c < 3; c++) out[c] = (stone[c] as number) * day * 1.3 + 0.001;
  });
}

interface Ring {
  readonly inner: number;
  readonly outer: number;
  /** Height over width of its ellipse. */
  readonly flat: number;
  readonly tilt: number;
  readonly color: Color;
  readonly seed: number;
}

function ringOf(random: Random, radius: number): Ring {
  return {
    inner: radius * between(random, 1.2, 1.4),
    outer: radius * between(random, 1.8, 2.3),
    flat: between(random, 0.15, 0.4),
    tilt: between(random, -0.4, 0.4),
    color: vary(random, hex(0xd8c8a8), 0.15),
    seed: random.nextUint32(),
  };
}

/** The half of the ring behind the planet (`side` -1) or in front of it (1). */
function paintRing(canvas: Canvas, ball: Ball, ring: Ring, sun: Direction, side: number): void {
  const turn = Math.sqrt(1 + ring.tilt * ring.tilt);
  paint(canvas, (x, y, out) => {
    const dx = x - ball.x;
    const dy = y - ball.y;
    const along = (dx + dy * ring.tilt) / turn;
    const aside = (dy - dx * ring.tilt) / turn / ring.flat;
    if (aside * side < 0) return 0;
    const distance = Math.sqrt(along * along + aside * aside);
    if (distance < ring.inner || distance > ring.outer) return 0;
    const where = (distance - ring.inner) / (ring.outer - ring.inner);
    const grooves = 0.6 + 0.55 * fractal(where * 16, 0.5, 4, ring.seed, 0.7);
    const gap = smoothstep(0.02, 0.035, Math.abs(where - 0.66));
    // The planet's shadow, in the plane of the ring: `aside` points toward the viewer.
    const away = -(along * sun[0] + aside * sun[2]);
    const offset = Math.abs(along * sun[2] - aside * sun[0]);
    const shade = away > 0 ? 0.12 + 0.88 * smoothstep(0.9, 1, offset / ball.radius) : 1;
    for (let c = 0; c < 3; c++) out[c] = (ring.color[c] as number) * (0.35 + 0.75 * grooves) * shade;
    const ends = smoothstep(0, 0.05, where) * smoothstep(1, 0.93, where);
    return clamp(grooves * 1.05) * gap * ends * 0.9;
  });
}

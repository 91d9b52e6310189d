/** Open water in perspective: waves, glitter under the sun, sometimes a beach, rocks or sails. */
import type { Random } from "@dcae/core/graph";
import { type Canvas, type Color, paint } from "./canvas.js";
import { fractal, noise, octavesFor } from "./noise.js";
import { createRelief, relief } from "./relief.js";
import { add, between, blend, clamp, coverage, hex, mix, pick, smoothstep, tint, vary } from "./shading.js";
import { paintSky, randomSky, type Sky } from "./sky.js";

export function seascape(canvas: Canvas, random: Random): void {
  const horizon = between(random, 0.36, 0.58);
  const sky = randomSky(random, canvas.aspect, horizon);
  paintSky(canvas, sky, horizon);
  const beach = random.nextUniform() < 0.5 ? between(random, 0.72, 0.9) : undefined;
  paintWater(canvas, random, sky, horizon);
  const sails = random.nextInteger(3);
  for (let i = 0; i < sails; i++) paintBoat(canvas, random, horizon);
  if (beach === undefined || random.nextUniform() < 0.4) paintRocks(canvas, random, sky, horizon);
  if (beach !== undefined) paintBeach(canvas, random, sky, beach);
}

function paintWater(canvas: Canvas, random: Random, sky: Sky, horizon: number): void {
  const deep = vary(random, pick(random, [hex(0x0e3b52), hex(0x12454a), hex(0x1f4a63), hex(0x123a3c)]), 0.2);
  const foam = hex(0xeef4f4);
  const swell = between(random, 0.5, 1.3);
  const seed = random.nextUint32();
  const water = createRelief();
  paint(
    canvas,
    (x, y, out) => {
      const below = y - horizon;
      const opacity = coverage(-below, canvas.pixel);
      if (opacity === 0) return 0;
      const distance = 0.16 / (Math.max(below, 0) + 0.008);
      const u = (x - canvas.aspect / 2) * distance * 2.2;
      const v = distance * 5;
      // One pixel covers more waves the farther it is: fewer octaves there.
      const octaves = octavesFor(4, (canvas.pixel * distance * distance) / 0.06, 8);
      relief(u, v, octaves, seed, 0.58, 0, water);
      const wave = water.height * swell;
      const slope = 0.16 * swell * (water.slopeY * 0.8 + water.slopeX * 0.3);
      const calm = smoothstep(0.4, 0.0, below);
      const mirror = clamp(0.26 + 0.5 * calm + slope * 0.8 * (1 - 0.7 * calm));
      blend(out, deep, sky.horizon, mirror * 0.85);
      tint(out, sky.zenith, 0.3 * clamp(0.5 - slope * 1.5));
      out[1] += 0.02 * Math.max(wave, 0);
      const path = (x - sky.sunX) / (0.05 + below * 0.42);
      const glitter = smoothstep(0.1, 0.5, slope + 0.35 / (1 + path * path * 2) - 0.05);
      add(out, sky.sun, (1.1 * glitter) / (1 + path * path * 3));
      const crest = smoothstep(0.55, 0.8, wave + slope * 0.4) * smoothstep(0.05, 0.25, below);
      tint(out, foam, crest * 0.75);
      return opacity;
    },
    { left: 0, top: horizon - canvas.pixel, right: canvas.aspect, bottom: 1 },
  );
}

function paintBoat(canvas: Canvas, random: Random, horizon: number): void {
  const size = between(random, 0.05, 0.16);
  const x0 = between(random, 0.1, 0.9) * canvas.aspect;
  const water = horizon + size * 0.35;
  const sail = vary(random, pick(random, [hex(0xf7f3e8), hex(0xe8dcc0), hex(0xd9583c)]), 0.08);
  const hull = vary(random, pick(random, [hex(0x3b2a20), hex(0xf0f0ee), hex(0x27405e)]), 0.15);
  const lean = between(random, -0.12, 0.12);
  paint(
    canvas,
    (x, y, out) => {
      const up = (water - y) / size;
      const side = (x - x0) / size - lean * up;
      if (up < 0) {
        // Reflection, broken by waves.
        out[0] = hull[0] * 0.6;
        out[1] = hull[1] * 0.6;
        out[2] = hull[2] * 0.6;
        const broken = noise(x * 80, y * 220, 3);
        return up > -0.22 && Math.abs(side) < 0.3 && broken > 0 ? 0.5 : 0;
      }
      if (up < 0.13) {
        const inside = Math.abs(side) - (0.24 + up * 0.9);
        out[0] = hull[0];
        out[1] = hull[1];
        out[2] = hull[2];
        return coverage(inside * size, canvas.pixel);
      }
      const mast = Math.abs(side) - 0.008;
      // Main sail behind the mast, a smaller one in front of it.
      const main = Math.max(side - 0.42 * (1 - (up - 0.16) / 1.02), 0.03 - side, 0.17 - up);
      const fore = Math.max(-side - 0.3 * (1 - (up - 0.16) / 0.8), side + 0.03, 0.17 - up);
      const cloth = Math.min(main, fore);
      const shade = main < fore ? 1 - side * 0.7 : 0.8 + side * 0.4;
      const isMast = mast < cloth;
      out[0] = isMast ? 0.08 : sail[0] * shade;
      out[1] = isMast ? 0.06 : sail[1] * shade;
      out[2] = isMast ? 0.05 : sail[2] * shade;
      return up < 1.2 ? coverage(Math.min(mast, cloth) * size, canvas.pixel) : 0;
    },
    { left: x0 - size * 0.7, top: water - size * 1.3, right: x0 + size * 0.7, bottom: water + size * 0.25 },
  );
}

function paintRocks(canvas: Canvas, random: Random, sky: Sky, horizon: number): void {
  const count = 1 + random.nextInteger(4);
  const stone = vary(random, hex(0x4a4139), 0.25);
  for (let i = 0; i < count; i++) {
    const width = between(random, 0.08, 0.3);
    const height = width * between(random, 0.4, 0.9);
    const x0 = between(random, 0, 1) * canvas.aspect;
    const foot = horizon + between(random, 0.04, 0.35);
    const seed = random.nextUint32();
    const octaves = octavesFor(10, canvas.pixel, 6);
    const ground = createRelief();
    paint(
      canvas,
      (x, y, out) => {
        const side = (x - x0) / width;
        const outline = fractal(x * 9, 0.5, octaves, seed) * 0.3;
        const top = foot - height * Math.max(1 - side * side * 1.6, -0.2) * (0.75 + outline);
        const base = foot + 0.006 * noise(x * 40, 1, seed);
        const opacity = Math.min(coverage(top - y, canvas.pixel), coverage(y - base, canvas.pixel));
        if (opacity === 0) return 0;
        relief(x * 16, y * 11, octaves, seed + 9, 0.6, 0.25, ground);
        const steep = 1 / Math.sqrt(1 + 0.3 * (ground.slopeX * ground.slopeX + ground.slopeY * ground.slopeY));
        const sunSide = sky.sunX > x ? 1 : -1;
        const direct = (0.55 - 0.4 * sunSide * ground.slopeX + 0.3 * ground.slopeY - 0.3 * sunSide * side) * steep;
        const light = clamp(0.35 + 1.5 * direct, 0.12, 2.4);
        const wet = smoothstep(0.05, 0.0, foot - y);
        for (let c = 0; c < 3; c++) {
          out[c] = (stone[c] as number) * light * mix(1, 0.35, wet) + (sky.horizon[c] as number) * 0.05 * light;
        }
        return opacity;
      },
      { left: x0 - width, top: foot - height * 1.3, right: x0 + width, bottom: foot + 0.02 },
    );
  }
}

function paintBeach(canvas: Canvas, random: Random, sky: Sky, shore: number): void {
  const sand = vary(random, hex(0xd9c196), 0.12);
  const foam: Color = [0.95, 0.97, 0.97];
  const seed = random.nextUint32();
  const octaves = octavesFor(8, canvas.pixel, 6);
  const tilt = between(random, -0.12, 0.12);
  paint(
    canvas,
    (x, y, out) => {
      const line = shore + tilt * (x / canvas.aspect - 0.5) + 0.03 * fractal(x * 2.5, 3, 3, seed);
      const up = y - line;
      if (up < -0.05) return 0;
      const lace = fractal(x * 14, y * 30, Math.min(octaves, 4), seed + 5);
      const surf = smoothstep(0.03, 0, Math.abs(up + 0.012 + lace * 0.012)) * smoothstep(-0.25, 0.2, lace + 0.12);
      if (up < 0.004 * lace) {
        out[0] = foam[0];
        out[1] = foam[1];
        out[2] = foam[2];
        return surf;
      }
      const grain = fractal(x * 60, y * 90, octavesFor(60, canvas.pixel, 3), seed + 7) * 0.25;
      const dunes = fractal(x * 3, y * 9, octaves, seed + 8) * 0.35;
      const wet = smoothstep(0.09, 0.0, up);
      const light = (0.9 + grain + dunes) * mix(1, 0.45, wet);
      blend(out, sand, sky.horizon, 0.3 * wet);
      out[0] *= light;
      out[1] *= light;
      out[2] *= light;
      tint(out, foam, surf);
      return 1;
    },
    { left: 0, top: shore - 0.2, right: canvas.aspect, bottom: 1 },
  );
}

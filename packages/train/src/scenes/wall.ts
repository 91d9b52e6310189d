/** An old wall: bricks or stones with mortar, stains and moss, a window or a door, ivy, a shadow across it. */
import type { Random } from "@dcae/core/graph";
import { type Canvas, type Color, paint } from "./canvas.js";
import { fractal, hash, hashUnit, noise, octavesFor } from "./noise.js";
import { between, blend, clamp, coverage, hex, lit, mix, pick, smoothstep, tint, vary } from "./shading.js";

interface Opening {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
  readonly door: boolean;
  readonly arched: boolean;
  readonly paint: Color;
}

export function wall(canvas: Canvas, random: Random): void {
  const openings = randomOpenings(canvas, random);
  paintMasonry(canvas, random, openings);
  for (const opening of openings) paintOpening(canvas, random, opening);
  if (random.nextUniform() < 0.6) paintIvy(canvas, random);
  paintShadow(canvas, random);
}

function randomOpenings(canvas: Canvas, random: Random): Opening[] {
  const paints: readonly [Color, ...Color[]] = [
    hex(0x2f5a6a),
    hex(0x7a2a24),
    hex(0xe8e4d8),
    hex(0x3f5a3a),
    hex(0x4a3424),
    hex(0x24344a),
    hex(0xc89a3a),
  ];
  const openings: Opening[] = [];
  const color = vary(random, pick(random, paints), 0.15);
  const count = Math.max(Math.round(canvas.aspect * between(random, 0.6, 2.2)), 1);
  const bay = canvas.aspect / count;
  const doorAt = random.nextInteger(count + 1);
  const arched = random.nextUniform() < 0.4;
  const top = between(random, 0.16, 0.3);
  for (let i = 0; i < count; i++) {
    const middle = (i + 0.5) * bay + between(random, -0.04, 0.04);
    const half = Math.min(bay * 0.32, between(random, 0.13, 0.19));
    const door = i === doorAt;
    openings.push({
      left: middle - half,
      right: middle + half,
      top: door ? 0.3 : top,
      bottom: door ? 1.05 : top + half * between(random, 2.3, 3),
      door,
      arched,
      paint: color,
    });
  }
  return openings;
}

/** Distance to the border of an opening, negative inside; arches have a round top. */
function openingDistance(o: Opening, x: number, y: number): number {
  const middle = (o.left + o.right) / 2;
  const half = (o.right - o.left) / 2;
  const sides = Math.abs(x - middle) - half;
  if (o.arched && y < o.top + half) {
    const dx = x - middle;
    const dy = y - o.top - half;
    return Math.sqrt(dx * dx + dy * dy) - half;
  }
  return Math.max(sides, o.top - y, y - o.bottom);
}

function paintMasonry(canvas: Canvas, random: Random, openings: readonly Opening[]): void {
  const [first, second, mortar] = pick(random, [
    [0xa8543a, 0x7a3a2c, 0xb8ac98],
    [0xb8865a, 0x8a6242, 0xcfc4b0],
    [0x9a9488, 0x74706a, 0x5f5a54],
    [0xc8b088, 0xa89068, 0x8a7a62],
    [0xd8d2c4, 0xb8b0a0, 0x9a9488],
    [0x7a3a34, 0x4f2a2c, 0x6a625a],
  ]).map((code) => vary(random, hex(code), 0.1)) as [Color, Color, Color];
  const course = pick(random, [0.036, 0.045, 0.06, 0.085]);
  const long = course * between(random, 1.8, 2.8);
  const joint = 0.0045 + course * 0.035;
  const rough = course > 0.05 ? 0.012 : 0.004;
  const stain = vary(random, pick(random, [hex(0x3a3428), hex(0x4a5a34), hex(0x2a2a2a)]), 0.2);
  const seed = random.nextUint32();
  const lightX = between(random, -1, 1);
  const octaves = octavesFor(70, canvas.pixel, 4);
  paint(canvas, (x, y, out) => {
    // Uneven edges: the pattern's coordinates wobble.
    const wobble = noise(x * 26, y * 26, seed) * rough;
    const px = x + wobble;
    const py = y + (0.6 * wobble - 0.4 * noise(x * 19, y * 19, seed + 1) * rough);
    const row = Math.floor(py / course);
    const shift = (row & 1) * 0.5 + (hashUnit(row, 0, seed) - 0.5) * 0.25;
    const along = px / long + shift;
    const column = Math.floor(along);
    const h = hash(column, row, seed);
    const fx = (along - column) * long;
    const fy = py - row * course;
    const inside = Math.min(fx, long - fx, fy, course - fy) - joint;
    const brick = coverage(-inside, canvas.pixel + 0.001);
    const tone = 0.72 + 0.5 * ((h & 0xff) / 255);
    const pits = brick > 0 ? fractal(x * 70, y * 70, octaves, seed + 3, 0.6) : 0;
    blend(out, first, second, ((h >>> 8) & 0xff) / 255);
    // Worn edges: lit at the top and on the lamp's side, dark below.
    const near = smoothstep(0.006, 0, inside);
    const edge =
      (fy < course / 2 ? 1 : -1) * smoothstep(0.008, 0, Math.min(fy, course - fy) - joint) +
      lightX * (fx > long / 2 ? 1 : -1) * smoothstep(0.008, 0, Math.min(fx, long - fx) - joint);
    lit(out, out, 1.35 * tone * (1 + 0.3 * pits) * (1 + 0.3 * edge * near));
    const sandy = brick < 1 ? 0.72 + 0.3 * fractal(x * 110, y * 110, 2, seed + 5) : 0;
    // Joints lie deeper: shaded by the course above.
    const depth = 0.55 + 0.4 * smoothstep(0, joint * 1.6, fy);
    for (let c = 0; c < 3; c++) out[c] = mix((mortar[c] as number) * 1.2 * sandy * depth, out[c] as number, brick);
    const grime = fractal(x * 2.2, y * 1.1, 4, seed + 7, 0.6);
    tint(out, stain, clamp(0.5 * smoothstep(0.15, 0.8, grime + 0.25 * (y - 0.5)) + 0.3 * smoothstep(0.86, 1, y)));
    const runs = noise(x * 24, y * 0.9, seed + 9);
    let below = 0;
    for (const o of openings) {
      if (x > o.left - 0.02 && x < o.right + 0.02 && y > o.bottom) below = Math.max(below, 1 - (y - o.bottom) * 4);
    }
    tint(out, stain, clamp(smoothstep(0.0, 0.5, runs) * (0.12 + 0.5 * below)));
    return 1;
  });
}

function paintOpening(canvas: Canvas, random: Random, o: Opening): void {
  const seed = random.nextUint32();
  const stone = vary(random, hex(0xc8c0b0), 0.15);
  const width = o.right - o.left;
  const frame = 0.016;
  const panes = o.door ? 2 : 2;
  const rows = o.door ? 3 : 2 + random.nextInteger(3);
  const curtain = vary(random, pick(random, [hex(0xe8e0d0), hex(0xb84a3a), hex(0x5a7a9a)]), 0.1);
  const curtained = random.nextUniform() < 0.6;
  const inset = 0.022;
  paint(
    canvas,
    (x, y, out) => {
      const distance = openingDistance(o, x, y);
      const surround = 0.03;
      if (distance > surround) return 0;
      const texture = 1 + 0.25 * fractal(x * 50, y * 50, 4, seed);
      if (distance > 0) {
        // Stone surround with a bevel and joints.
        const block = Math.floor(y * 11);
        const bevel = distance > surround - 0.006 ? 1.15 : distance < 0.006 ? 0.7 : 0.95;
        lit(out, stone, texture * bevel * (0.85 + 0.25 * hashUnit(block, 0, seed)));
        return coverage(distance - surround, canvas.pixel);
      }
      // Inside of the reveal: u and v over the opening.
      const u = (x - o.left) / width;
      const v = (y - o.top) / (o.bottom - o.top);
      const reveal = smoothstep(0, -inset, distance);
      const shadowed = smoothstep(0, 0.05, y - o.top) * smoothstep(0, 0.03, x - o.left);
      if (distance > -frame) {
        lit(out, o.paint, texture * (0.55 + 0.5 * reveal) * (0.4 + 0.6 * shadowed));
        return 1;
      }
      const cx = u * panes - Math.floor(u * panes);
      const cy = v * rows - Math.floor(v * rows);
      const bar = Math.min(Math.min(cx, 1 - cx) * (width / panes), (Math.min(cy, 1 - cy) * (o.bottom - o.top)) / rows);
      if (o.door) {
        // Panels with raised borders, worn paint, a knob.
        const groove = bar - 0.014;
        const relief = groove < 0 ? 1 : groove < 0.007 ? (cy < 0.5 ? 0.55 : 1.3) : 0.92;
        const wood = 1 + 0.16 * noise(x * 9, y * 120, seed + 2) + 0.18 * fractal(x * 14, y * 14, 4, seed + 3);
        lit(out, o.paint, relief * wood * (0.45 + 0.55 * shadowed));
        const kx = x - (o.right - 0.045);
        const ky = y - 0.68;
        const knob = Math.sqrt(kx * kx + ky * ky);
        tint(out, [0.7, 0.5, 0.16], coverage(knob - 0.011, canvas.pixel));
        tint(
          out,
          [1, 0.9, 0.6],
          smoothstep(0.005, 0.001, Math.sqrt((kx + 0.004) * (kx + 0.004) + (ky + 0.004) * (ky + 0.004))),
        );
        return 1;
      }
      if (bar < 0.007) {
        lit(out, o.paint, texture * (0.5 + 0.5 * shadowed) * (cy < 0.1 ? 1.1 : 0.9));
        return 1;
      }
      // Glass: dark room, curtains at both sides, sky mirrored in the upper panes.
      const room = 0.02 + 0.03 * noise(x * 7, y * 7, seed + 5);
      out[0] = room * 1.1;
      out[1] = room;
      out[2] = room * 0.95;
      const hang = 0.3 + 0.05 * noise(u * 3, v * 4, seed + 6);
      if (curtained && (u < hang || u > 1 - hang)) lit(out, curtain, 0.3 + 0.2 * noise(x * 120, v * 2, seed + 7));
      const pane = hashUnit(Math.floor(u * panes), Math.floor(v * rows), seed + 8);
      const cloud = fractal(u * 2 + pane * 3, v * 3 + pane, 4, seed + 9);
      const mirror = clamp((0.9 - v) * 0.55 + 0.25 * cloud + 0.1 * pane) * (0.35 + 0.65 * shadowed);
      tint(out, [0.55, 0.7, 0.85], mirror * 0.75);
      return 1;
    },
    { left: o.left - 0.04, right: o.right + 0.04, top: o.top - 0.04, bottom: Math.min(o.bottom + 0.04, 1) },
  );
  if (o.door) return;
  // The sill, and its shadow on the wall.
  paint(
    canvas,
    (x, y, out) => {
      const sill = Math.max(o.left - 0.04 - x, x - o.right - 0.04, o.bottom + 0.012 - y, y - o.bottom - 0.042);
      const body = coverage(sill, canvas.pixel);
      if (body > 0) {
        lit(out, stone, (y < o.bottom + 0.02 ? 1.25 : 0.8) * (1 + 0.2 * fractal(x * 50, y * 50, 3, seed + 11)));
        return body;
      }
      out[0] = out[1] = out[2] = 0.01;
      return y > o.bottom && x > o.left - 0.03 && x < o.right + 0.06 ? 0.5 * smoothstep(0.075, 0.04, y - o.bottom) : 0;
    },
    { left: o.left - 0.06, right: o.right + 0.07, top: o.bottom, bottom: o.bottom + 0.08 },
  );
}

/** Ivy that climbs from a corner: leaves on a lattice, thinning out with distance. */
function paintIvy(canvas: Canvas, random: Random): void {
  const seed = random.nextUint32();
  const fromLeft = random.nextUniform() < 0.5;
  const leaf = vary(random, pick(random, [hex(0x4f7a34), hex(0x6a8a3a), hex(0x9a4a2a)]), 0.2);
  const amountThere = between(random, 0.25, 0.6);
  const scale = between(random, 16, 24);
  paint(canvas, (x, y, out) => {
    const side = fromLeft ? x : canvas.aspect - x;
    if (side > amountThere + 0.45) return 0;
    const spread = amountThere - side * 1.1 + 0.35 * fractal(x * 4, y * 3, 3, seed) + 0.12 * (y - 0.5);
    if (spread < -0.1) return 0;
    let opacity = 0;
    for (let lattice = 0; lattice < 3; lattice++) {
      const gx = x * scale + lattice * 0.37;
      const gy = y * scale + lattice * 0.71;
      const ix = Math.floor(gx);
      const iy = Math.floor(gy);
      const h = hash(ix, iy, seed + lattice);
      if ((h & 0xff) / 255 > 0.35 + spread * 3) continue;
      // Smaller than its cell, so that it may stand anywhere inside of it.
      const size = 0.62 + 0.3 * (((h >>> 20) & 15) / 15);
      const ax = (gx - ix - 0.5) / size + ((((h >>> 8) & 15) - 7.5) / 15) * (1 / size - 0.85);
      const ay = (gy - iy - 0.5) / size + ((((h >>> 12) & 15) - 7.5) / 15) * (1 / size - 0.85);
      const turn = ((h >>> 24) & 15) / 12 - 0.6;
      const dx = ax + ay * turn;
      const dy = ay - ax * turn;
      // A pointed leaf that hangs down: wide above, narrow below.
      const half = 0.36 * (1 - smoothstep(-0.3, 0.48, dy) * 0.95);
      const edge = Math.max(Math.abs(dx) - half, -0.34 - dy + Math.abs(dx) * 0.3, dy - 0.46);
      const covered = coverage(edge / scale, canvas.pixel);
      const shade = coverage((edge - 0.12) / scale, 3 / scale / 10);
      if (covered > 0) {
        const brightness =
          0.3 + (0.75 * ((h >>> 16) & 0xff)) / 255 + (dx > 0 ? 0.16 : -0.05) - 0.25 * smoothstep(0.05, 0, Math.abs(dx));
        lit(out, leaf, clamp(brightness, 0.1, 1.4));
        opacity = Math.max(covered, opacity);
      } else if (opacity === 0 && shade > 0) {
        out[0] = out[1] = out[2] = 0.01;
        opacity = 0.35 * shade;
      }
    }
    return opacity;
  });
}

/** The shadow of a roof or of branches. */
function paintShadow(canvas: Canvas, random: Random): void {
  const seed = random.nextUint32();
  const roof = random.nextUniform() < 0.5;
  const slope = between(random, -0.7, 0.7);
  const at = between(random, 0.1, 0.4);
  paint(canvas, (x, y, out) => {
    out[0] = 0.012;
    out[1] = 0.014;
    out[2] = 0.03;
    if (roof) return 0.62 * smoothstep(0.012, -0.012, y - at - slope * (x - canvas.aspect / 2));
    const dapple = fractal(x * 3.5 + y * slope, y * 3.5, 4, seed, 0.6);
    return 0.55 * smoothstep(-0.08, 0.2, dapple - 0.1);
  });
}

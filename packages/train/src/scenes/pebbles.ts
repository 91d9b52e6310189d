/** A beach of pebbles seen from above: stones of all sizes on gravel, speckled, veined, some wet, some leaves. */
import type { Random } from "@dcae/core/graph";
import { type Canvas, type Color, paint } from "./canvas.js";
import { type Cell, cells, fractal, noise, octavesFor } from "./noise.js";
import { add, between, clamp, coverage, hex, lit, pick, smoothstep, tint, vary } from "./shading.js";

const STONES: readonly [number, ...number[]] = [
  0x8d8a84, 0x5f6268, 0xb9aa92, 0x7a5f4e, 0xa3968a, 0x4a4d50, 0xcfc6b8, 0x8f7a68, 0x6d7a78, 0xb08a72, 0xdedad2,
];

export function pebbles(canvas: Canvas, random: Random): void {
  const warmth = between(random, 0, 1);
  const sun = between(random, -0.9, 0.9);
  const light: readonly [number, number] = [sun, -Math.sqrt(1 - sun * sun)];
  const wet = random.nextUniform() < 0.4;
  paintGravel(canvas, random, wet);
  // Large stones first would be buried: small ones lie below.
  const sizes = between(random, 0.6, 1.5);
  for (let pass = 0; pass < 4; pass++) {
    const radius = [0.018, 0.034, 0.06, 0.1][pass] as number;
    const density = [0.6, 0.5, 0.34, 0.2][pass] as number;
    const count = Math.round((density * canvas.aspect) / (4 * radius * radius * (pass === 3 ? sizes * 1.6 : 1)));
    for (let i = 0; i < count; i++) {
      const shade = vary(random, hex(pick(random, STONES)), 0.3);
      const color: Color = [shade[0] * (0.9 + 0.25 * warmth), shade[1], shade[2] * (1.1 - 0.3 * warmth)];
      paintStone(canvas, random, radius * between(random, 0.6, 1.45), color, light, wet);
    }
  }
  const leaves = random.nextInteger(5);
  for (let i = 0; i < leaves; i++) paintLeaf(canvas, random, light);
}

function paintGravel(canvas: Canvas, random: Random, wet: boolean): void {
  const seed = random.nextUint32();
  const sand = vary(random, hex(0x9a8466), 0.2);
  const cell: Cell = { nearest: 0, second: 0, id: 0 };
  const scale = 55;
  paint(canvas, (x, y, out) => {
    cells(x * scale, y * scale, seed, cell);
    const tone = 0.35 + 0.7 * ((cell.id & 0xff) / 255);
    const dome = smoothstep(0, 0.35, cell.second - cell.nearest);
    const hue = ((cell.id >>> 8) & 0xff) / 255 - 0.5;
    lit(out, sand, tone * (0.2 + 1.1 * dome) * (wet ? 0.6 : 1));
    out[0] *= 1 + 0.25 * hue;
    out[2] *= 1 - 0.3 * hue;
    return 1;
  });
}

function paintStone(
  canvas: Canvas,
  random: Random,
  radius: number,
  color: Color,
  light: readonly [number, number],
  wet: boolean,
): void {
  const x0 = between(random, 0, canvas.aspect);
  const y0 = between(random, 0, 1);
  const cos = between(random, -1, 1);
  const sin = Math.sqrt(1 - cos * cos);
  const flat = between(random, 0.6, 1);
  const square = between(random, 0, 0.9);
  const seed = random.nextUint32();
  const speckle = between(random, 0, 0.4);
  const veins = random.nextUniform() < 0.3;
  const vein: Color = random.nextUniform() < 0.6 ? [0.85, 0.83, 0.8] : [0.08, 0.08, 0.09];
  const octaves = octavesFor(0.6 / radius, canvas.pixel, 4);
  const shadowX = -light[0] * radius * 0.22;
  const shadowY = -light[1] * radius * 0.22;
  // Distance in radii: an ellipse that may lean toward a rounded rectangle, with an uneven outline.
  const shape = (dx: number, dy: number): number => {
    const u = (cos * dx + sin * dy) / radius;
    const v = (cos * dy - sin * dx) / (radius * flat);
    const u2 = u * u;
    const v2 = v * v;
    const round = Math.sqrt(u2 + v2);
    const boxy = Math.sqrt(Math.sqrt(u2 * u2 + v2 * v2));
    return round + square * (boxy - round);
  };
  const reach = radius * 1.5;
  paint(
    canvas,
    (x, y, out) => {
      const dx = x - x0;
      const dy = y - y0;
      const plain = shape(dx, dy);
      if (plain > 1.45) return 0;
      const uneven = 0.14 * noise(dx / radius + 9, dy / radius, seed);
      const d = plain + uneven;
      const body = coverage((d - 1) * radius, canvas.pixel);
      if (body === 0) {
        const cast = shape(dx - shadowX, dy - shadowY) + uneven;
        out[0] = out[1] = out[2] = 0.005;
        return 0.75 * smoothstep(1.22, 0.9, cast);
      }
      // A dome: flat on top, steep at the rim. Its slope points away from the middle.
      const steep = clamp(d) * clamp(d) * 0.95;
      const length = Math.sqrt(dx * dx + dy * dy) + 1e-6;
      const bump = fractal((dx / radius) * 2.2, (dy / radius) * 2.2, octaves, seed + 3, 0.6);
      const facing = ((dx * light[0] + dy * light[1]) / length) * steep + bump * 0.22;
      const brightness = 0.9 + 0.7 * facing + 0.25 * Math.sqrt(Math.max(1 - d * d, 0));
      const occlusion = 0.45 + 0.55 * smoothstep(1.02, 0.78, d);
      lit(out, color, clamp(brightness, 0.07, 2.2) * occlusion * (wet ? 0.7 : 1));
      const grain = noise(x * 190, y * 190, seed + 5);
      lit(out, out, 1 + speckle * 1.6 * grain);
      if (veins) {
        const line = Math.abs(noise((dx / radius) * 1.3, (dy / radius) * 1.3 + 4, seed + 7) + 0.05 * bump);
        tint(out, vein, smoothstep(0.055, 0.02, line) * 0.65 * brightness);
      }
      if (wet) {
        const gloss = smoothstep(
          0.2,
          0.03,
          shape(dx - light[0] * radius * 0.42, dy - light[1] * radius * 0.42) + 0.2 * bump,
        );
        add(out, [0.9, 0.95, 1], gloss * 0.7);
      }
      return body;
    },
    { left: x0 - reach, top: y0 - reach, right: x0 + reach, bottom: y0 + reach },
  );
}

function paintLeaf(canvas: Canvas, random: Random, light: readonly [number, number]): void {
  const size = between(random, 0.07, 0.15);
  const x0 = between(random, 0.1, 0.9) * canvas.aspect;
  const y0 = between(random, 0.1, 0.9);
  const cos = between(random, -1, 1);
  const sin = Math.sqrt(1 - cos * cos) * (random.nextUniform() < 0.5 ? -1 : 1);
  const color = vary(random, hex(pick(random, [0xb5532a, 0xd09a2a, 0x7a3a1c, 0x8a8a2a, 0x4f6a2a])), 0.2);
  const seed = random.nextUint32();
  const outline = (dx: number, dy: number): readonly [number, number, number] => {
    const u = (cos * dx + sin * dy) / size;
    const bend = 0.12 * u * u;
    const v = (cos * dy - sin * dx) / size - bend;
    // Two arcs that meet in points at both ends.
    const half = 0.42 * (1 - u * u) * (1 - 0.25 * u);
    return [u, v, Math.abs(u) < 1 ? Math.abs(v) - half : Math.abs(v) + Math.abs(u) - 1];
  };
  paint(
    canvas,
    (x, y, out) => {
      const [u, v, edge] = outline(x - x0, y - y0);
      const stalk = u < 0 && u > -1.35 ? Math.abs(v) - 0.018 : 1;
      const body = coverage(Math.min(edge, stalk) * size, canvas.pixel);
      if (body === 0) {
        const [, , cast] = outline(x - x0 + light[0] * 0.014, y - y0 + light[1] * 0.014);
        out[0] = out[1] = out[2] = 0.005;
        return 0.6 * smoothstep(0.06, -0.06, cast);
      }
      const rib = smoothstep(0.03, 0.008, Math.abs(v));
      const slant = (u - Math.abs(v) * 1.1) * 7;
      const side = smoothstep(0.14, 0.03, Math.abs(slant - Math.round(slant))) * 0.6;
      const patch = fractal(x * 30, y * 30, 3, seed);
      const brightness = 0.85 + 0.35 * patch + (v > 0 ? 0.18 : -0.12) * (light[1] < 0 ? -1 : 1);
      lit(out, color, clamp(brightness, 0.2, 1.6));
      tint(out, [color[0] * 1.7, color[1] * 1.7, color[2] * 1.4], Math.max(rib, side) * 0.55);
      return body;
    },
    { left: x0 - size * 1.5, top: y0 - size * 1.5, right: x0 + size * 1.5, bottom: y0 + size * 1.5 },
  );
}

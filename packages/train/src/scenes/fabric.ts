/** Woven cloth in folds: plaid, stripes or checks, down to the threads. */
import type { Random } from "@dcae/core/graph";
import { type Canvas, type Color, paint } from "./canvas.js";
import { fractal, hashUnit, octavesFor } from "./noise.js";
import { createRelief, relief } from "./relief.js";
import { between, clamp, hex, mix, pick, smoothstep, vary } from "./shading.js";

const PALETTES: readonly [readonly number[], ...(readonly number[])[]] = [
  [0xa8232b, 0x1f2a3a, 0xe8dcc0, 0x2f5a3f],
  [0x24456e, 0xd8dde4, 0x8a2f3a, 0x16243a],
  [0x3f6a4a, 0xe0d8b8, 0x8a5a2a, 0x1f3328],
  [0xd9a23a, 0x7a3a24, 0xf0e4cc, 0x4a2a22],
  [0x6a4a7a, 0xd8c4d8, 0x3a2f4a, 0xe0b88a],
  [0x8a9aa8, 0x3a444f, 0xe4e6e4, 0xb0604a],
  [0xe8e0d0, 0xb8482f, 0x40607a, 0x2a2a30],
];

/** A repeating sequence of colored bands, in units of the repeat. */
interface Bands {
  readonly edges: readonly number[];
  readonly colors: readonly Color[];
}

export function fabric(canvas: Canvas, random: Random): void {
  const colors = pick(random, PALETTES).map((code) => vary(random, hex(code), 0.12));
  const warp = randomBands(random, colors);
  const weft = random.nextUniform() < 0.65 ? warp : randomBands(random, colors);
  const repeat = between(random, 2.2, 5);
  const threads = between(random, 70, 130);
  const twill = random.nextUniform() < 0.5;
  const cos = between(random, 0.6, 1) * (random.nextUniform() < 0.5 ? -1 : 1);
  const sin = Math.sqrt(1 - cos * cos);
  const foldScale = between(random, 1.1, 2.2);
  const foldDepth = between(random, 0.16, 0.34);
  const stretch = between(random, 0.3, 0.8);
  const seed = random.nextUint32();
  const fold = createRelief();
  const octaves = octavesFor(4, canvas.pixel, 4);
  // Threads thinner than two pixels blur into their mean.
  const sharp = smoothstep(0.75, 0.3, threads * canvas.pixel);
  paint(canvas, (x, y, out) => {
    relief(x * foldScale * stretch + y * 0.4, y * foldScale * 0.6 + x * 0.5, 3, seed, 0.5, 0.9, fold);
    const { height, slopeX, slopeY } = fold;
    // Cloth moves with its folds, so that the pattern bends.
    const fx = x + 0.09 * slopeX * foldDepth;
    const fy = y + 0.09 * slopeY * foldDepth + 0.04 * height;
    const u = (cos * fx + sin * fy) * threads;
    const v = (cos * fy - sin * fx) * threads;
    const iu = Math.floor(u);
    const iv = Math.floor(v);
    const over = twill ? ((iu + iv) & 3) < 2 : ((iu + iv) & 1) === 0;
    const du = u - iu - 0.5;
    const dv = v - iv - 0.5;
    const up = bandAt(warp, (iu / threads) * repeat);
    const across = bandAt(weft, (iv / threads) * repeat);
    const [top, under] = over ? [up, across] : [across, up];
    // Each thread is a small cylinder that dives under its neighbors at both ends.
    const side = over ? du : dv;
    const length = over ? dv : du;
    const round = 1.15 - 2.1 * side * side - 0.9 * length * length;
    const uneven =
      0.86 + 0.28 * hashUnit(over ? iu : iv, over ? 1 : 2, seed) + 0.12 * (hashUnit(iu, iv, seed + 3) - 0.5);
    const thread = mix(1, round * uneven, sharp);
    const light = clamp(0.66 - foldDepth * (1.1 * slopeX + 0.75 * slopeY) + 0.12 * height, 0.05, 1.5);
    const occlusion = 0.75 + 0.25 * smoothstep(-0.6, 0.2, height);
    const fuzz = 0.95 + 0.12 * fractal(u * 0.4, v * 0.4, octaves, seed + 7);
    for (let c = 0; c < 3; c++) {
      const color = mix((top[c] as number) * 0.82 + (under[c] as number) * 0.18, top[c] as number, sharp);
      const sheen = 0.05 * light * light;
      out[c] = (color * light * thread * fuzz + sheen) * occlusion * 1.35;
    }
    return 1;
  });
}

function randomBands(random: Random, colors: readonly Color[]): Bands {
  const edges: number[] = [];
  const chosen: Color[] = [];
  const count = 4 + random.nextInteger(5);
  let total = 0;
  for (let band = 0; band < count; band++) {
    // Wide grounds with narrow lines between them.
    total += band % 2 === 0 ? between(random, 0.6, 2) : between(random, 0.06, 0.5);
    edges.push(total);
    chosen.push(colors[band % 2 === 0 ? random.nextInteger(2) : random.nextInteger(colors.length)] as Color);
  }
  return { edges: edges.map((edge) => edge / total), colors: chosen };
}

function bandAt(bands: Bands, position: number): Color {
  // There and back again: the pattern mirrors at its ends, as tartans do.
  const phase = position * 0.5 - Math.floor(position * 0.5);
  const at = phase < 0.5 ? phase * 2 : 2 - phase * 2;
  const { edges, colors } = bands;
  let band = 0;
  while (band < edges.length - 1 && at > (edges[band] as number)) band++;
  return colors[band] as Color;
}

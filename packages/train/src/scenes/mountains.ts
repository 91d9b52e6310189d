/** Mountain ranges in haze, one behind the other, snow on the far ones, conifers in front, sometimes above a lake. */
import type { Random } from "@dcae/core/graph";
import { type Canvas, type Color, paint, sample } from "./canvas.js";
import { fractal, hashUnit, noise, octavesFor, ridges } from "./noise.js";
import { columnProfile, coveredFrom, createRelief, lowestOf, relief } from "./relief.js";
import { add, between, blend, clamp, coverage, hex, pick, smoothstep, tint, vary } from "./shading.js";
import { paintSky, randomSky, type Sky } from "./sky.js";

export function mountains(canvas: Canvas, random: Random): void {
  const lake = random.nextUniform() < 0.5 ? between(random, 0.72, 0.82) : undefined;
  const ground = lake ?? 1;
  const horizon = between(random, 0.45, 0.6);
  const sky = randomSky(random, canvas.aspect, horizon);
  paintSky(canvas, sky, horizon + 0.1);
  const count = 3 + random.nextInteger(3);
  const rock = vary(random, pick(random, [hex(0x6d6459), hex(0x5d6670), hex(0x7a6a58)]), 0.15);
  const meadow = vary(random, pick(random, [hex(0x4c6b35), hex(0x6f7a3a), hex(0x3f5a3c)]), 0.2);
  const layers = Array.from({ length: count }, (_, layer): Range => {
    const nearness = layer / (count - 1);
    return {
      base: horizon + (ground - horizon) * (0.25 + 0.75 * nearness * nearness),
      height: (0.42 - 0.3 * nearness) * between(random, 0.8, 1.15),
      frequency: 1.1 + 1.2 * nearness,
      haze: 0.62 * (1 - nearness) + 0.05,
      green: smoothstep(0.35, 0.85, nearness),
      rock,
      meadow,
      bottom: ground,
      seed: random.nextUint32(),
    };
  });
  const crests = layers.map((range) => {
    const octaves = octavesFor(range.frequency * 2, canvas.pixel, 7);
    return columnProfile(canvas, (x) => crestOf(range, x, octaves));
  });
  const covers = coveredFrom(crests);
  layers.forEach((range, i) => {
    paintRange(canvas, sky, range, crests[i] as Float64Array, covers[i] as Float64Array);
  });
  if (lake !== undefined) paintLake(canvas, sky, lake, random.nextUint32());
  paintConifers(canvas, random, lake === undefined ? 0.93 : 1.02, sky);
}

interface Range {
  readonly base: number;
  readonly height: number;
  readonly frequency: number;
  readonly haze: number;
  readonly green: number;
  readonly rock: Color;
  readonly meadow: Color;
  readonly bottom: number;
  readonly seed: number;
}

function crestOf({ base, height, frequency, seed }: Range, x: number, octaves: number): number {
  const peaks = ridges(x * frequency, 0.37, octaves, seed) - 0.3 + 0.5 * noise(x * frequency * 0.7, 2.5, seed);
  return base - height * (0.25 + peaks);
}

function paintRange(canvas: Canvas, sky: Sky, range: Range, crest: Float64Array, cover: Float64Array): void {
  const { height, frequency, haze, green, rock, meadow, bottom, seed } = range;
  const snow = hex(0xf4f7fb);
  const hazeColor: Color = [0, 0, 0];
  blend(hazeColor, sky.horizon, sky.zenith, 0.25);
  const octaves = octavesFor(frequency * 3, canvas.pixel, 7);
  const ground = createRelief();
  const sunSide = sky.sunX - canvas.aspect / 2 > 0 ? 1 : -1;
  paint(
    canvas,
    (x, y, out) => {
      const column = Math.floor(x * canvas.height);
      const line = crest[column] as number;
      const opacity = y > (cover[column] as number) ? 0 : coverage(line - y, canvas.pixel);
      if (opacity === 0) return 0;
      const depth = y - line;
      // The slope seen from the front: ribs are drawn out along the fall line.
      const u = x * frequency * 3;
      const v = (depth * 1.4 + line) * frequency * 1.6;
      relief(u, v, octaves, seed + 50, 0.56, 0.45, ground);
      const { height: bump, slopeX, slopeY } = ground;
      const steep = 1 / Math.sqrt(1 + 0.35 * (slopeX * slopeX + slopeY * slopeY));
      const direct = clamp((0.5 - 0.42 * sunSide * slopeX + 0.22 * slopeY) * steep * 1.25);
      const grass = green * smoothstep(-0.25, 0.3, depth * 4 - bump * 0.4 - (1 - steep) * 0.9 + 0.15);
      blend(out, rock, meadow, grass);
      const snowLine = height * (0.75 - 0.95 * green);
      const white = smoothstep(0.05, -0.05, depth - snowLine + bump * 0.09 + (0.62 - steep) * 0.16);
      tint(out, snow, white * smoothstep(0.95, 0.5, green));
      for (let c = 0; c < 3; c++) {
        const ambient = (sky.zenith[c] as number) * 0.3 + 0.16;
        out[c] = (out[c] as number) * (ambient + (sky.sun[c] as number) * 1.05 * direct);
      }
      tint(out, hazeColor, clamp(haze * (0.7 + depth * 1.3)));
      return opacity;
    },
    { left: 0, top: lowestOf(crest) - canvas.pixel, right: canvas.aspect, bottom },
  );
}

function paintLake(canvas: Canvas, sky: Sky, shore: number, seed: number): void {
  const deep = hex(0x1d3a46);
  const octaves = octavesFor(30, canvas.pixel, 3);
  paint(
    canvas,
    (x, y, out) => {
      const depth = y - shore;
      const perspective = 1 / (depth + 0.05);
      const wave = fractal(x * perspective * 0.9, perspective * 3.2, octaves, seed);
      const bend = wave * (0.012 + depth * 0.14);
      sample(canvas, x + bend * 0.4, shore - depth * 1.05 - Math.abs(bend), out);
      tint(out, deep, clamp(0.22 + depth * 1.3 + wave * 0.25));
      add(out, sky.horizon, 0.22 * smoothstep(0.25, 0.75, wave));
      return coverage(shore + 0.004 * noise(x * 9, 0, seed) - y, canvas.pixel);
    },
    { left: 0, top: shore - 0.02, right: canvas.aspect, bottom: 1 },
  );
}

function paintConifers(canvas: Canvas, random: Random, foot: number, sky: Sky): void {
  const count = Math.ceil(canvas.aspect * between(random, 10, 34));
  const dark = hex(0x14241a);
  const trees = Array.from({ length: count }, () => ({
    x: between(random, -0.05, canvas.aspect + 0.05),
    height: between(random, 0.1, 0.3),
    seed: random.nextUint32(),
  })).sort((a, b) => a.height - b.height);
  for (const tree of trees) {
    const color = vary(random, dark, 0.35);
    const width = tree.height * 0.2;
    const bottom = foot + tree.height * 0.25;
    const top = bottom - tree.height;
    paint(
      canvas,
      (x, y, out) => {
        const down = (y - top) / tree.height;
        if (down < 0) return 0;
        // Branches: the half-width rises along each tier and falls back at the next.
        const tiers = 9 + 5 * hashUnit(0, 0, tree.seed);
        const tier = down * tiers;
        const within = tier - Math.floor(tier);
        const side = x < tree.x ? 0 : 1;
        const ragged = 0.7 + 0.5 * hashUnit(Math.floor(tier), side, tree.seed);
        const half = width * (0.25 * down + 0.75 * down * (0.45 + 0.55 * within)) * ragged + 0.0015;
        const opacity = coverage(Math.abs(x - tree.x) - half, canvas.pixel * 1.2);
        if (opacity === 0) return 0;
        const needles = noise(x * 90, y * 60, tree.seed) * 0.4;
        const sunny = clamp(0.75 + (x - tree.x) * (sky.sunX > tree.x ? 1 : -1) * 9 + needles, 0.25, 1.7);
        out[0] = color[0] * sunny + sky.sun[0] * 0.012 * sunny;
        out[1] = color[1] * sunny + sky.sun[1] * 0.012 * sunny;
        out[2] = color[2] * sunny + sky.sun[2] * 0.008 * sunny;
        return opacity;
      },
      { left: tree.x - width, top, right: tree.x + width, bottom: Math.min(bottom, 1) },
    );
  }
}

/** A meadow in bloom: large flowers in focus, small ones blurred behind them, stems and grass blades. */
import type { Random } from "@dcae/core/graph";
import { type Canvas, type Color, paint } from "./canvas.js";
import { fractal, hashUnit, noise, octavesFor } from "./noise.js";
import { add, between, blend, clamp, hex, lit, mix, pick, smoothstep, tint, vary } from "./shading.js";

interface Species {
  readonly petals: number;
  /** Half width of a petal, in lengths. */
  readonly wide: number;
  readonly inner: Color;
  readonly outer: Color;
  readonly heart: Color;
  /** Radius of the middle, in petal lengths. */
  readonly disc: number;
  /** Rows of petals, each shorter and turned against the one below. */
  readonly rows: number;
}

const SPECIES: readonly [readonly number[], ...(readonly number[])[]] = [
  // petals, width %, inner, outer, heart, disc %, rows
  [13, 17, 0xf4f2ea, 0xffffff, 0xe2a818, 30, 1],
  [5, 48, 0x2a1420, 0xd8281e, 0x1a1a14, 20, 2],
  [16, 15, 0xd98a10, 0xf7c81e, 0x4a2a10, 45, 2],
  [8, 30, 0xf0c0d8, 0xd85a9a, 0xe8c040, 22, 2],
  [5, 40, 0xd8d4f4, 0x5a62c8, 0xf0e8a0, 16, 1],
  [21, 13, 0xb84ab0, 0x8a3aa0, 0xd8a030, 24, 3],
  [6, 38, 0xf8d878, 0xf09030, 0x8a4a18, 18, 2],
];

export function flowers(canvas: Canvas, random: Random): void {
  const light = { x: between(random, 0.1, 0.9) * canvas.aspect, seed: random.nextUint32() };
  const leaf = vary(random, pick(random, [hex(0x4f8a34), hex(0x6a8f3a), hex(0x3f7a4a), hex(0x7a9a4a)]), 0.15);
  const glow = vary(random, pick(random, [hex(0xcfe0a0), hex(0xf0dca0), hex(0xb8d8d0), hex(0xa8c080)]), 0.1);
  paintBackground(canvas, random, leaf, glow, light.x, light.seed);
  const species = [randomSpecies(random), randomSpecies(random), randomSpecies(random)];
  const layers = 5;
  for (let layer = 0; layer < layers; layer++) {
    const nearness = layer / (layers - 1);
    const count = Math.round(canvas.aspect * mix(26, 4, Math.sqrt(nearness)) * between(random, 0.7, 1.3));
    paintGrass(canvas, random, leaf, glow, nearness, light.x);
    for (let i = 0; i < count; i++) {
      const size = mix(0.022, 0.19, nearness * nearness) * between(random, 0.7, 1.2);
      const x = between(random, -0.05, canvas.aspect + 0.05);
      const y = mix(0.42, 0.62, nearness) + between(random, -0.2, 0.34);
      const kind = species[random.nextUniform() < 0.6 ? 0 : 1 + random.nextInteger(2)] as Species;
      paintStem(canvas, random, x, y, size, leaf, glow, nearness);
      paintFlower(canvas, random, kind, x, y, size, 0.62 * (1 - nearness), glow, light.x);
    }
  }
}

function randomSpecies(random: Random): Species {
  const [petals, wide, inner, outer, heart, disc, rows] = pick(random, SPECIES) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return {
    petals,
    wide: (wide / 100) * between(random, 0.9, 1.15),
    inner: vary(random, hex(inner), 0.12),
    outer: vary(random, hex(outer), 0.15),
    heart: vary(random, hex(heart), 0.12),
    disc: disc / 100,
    rows,
  };
}

/** Out of focus: soft colors and discs of light. */
function paintBackground(canvas: Canvas, random: Random, leaf: Color, glow: Color, sunX: number, seed: number): void {
  const accents = [hex(0xe8a0b8), hex(0xf0d070), hex(0xf4f4ec), leaf, glow].map((color) => vary(random, color, 0.2));
  paint(canvas, (x, y, out) => {
    const bright = 1 / (1 + 4 * (x - sunX) * (x - sunX) + 3 * y * y);
    const soft = fractal(x * 2.2, y * 2.2, 3, seed, 0.5);
    blend(out, leaf, glow, clamp(0.25 + bright * 0.75 + soft * 0.6 - y * 0.35));
    lit(out, out, 0.4 + 0.75 * bright + 0.3 * soft);
    // Discs on three lattices, each a circle of confusion with a faint rim.
    for (let lattice = 0; lattice < 3; lattice++) {
      const scale = 6 + lattice * 3.5;
      const ix = Math.floor(x * scale + lattice * 0.3);
      const iy = Math.floor(y * scale + lattice * 0.6);
      const chance = hashUnit(ix, iy, seed + lattice);
      if (chance > 0.45) continue;
      const dx = x * scale + lattice * 0.3 - ix - 0.5;
      const dy = y * scale + lattice * 0.6 - iy - 0.5;
      const d = Math.sqrt(dx * dx + dy * dy);
      const radius = 0.22 + 0.25 * hashUnit(ix, iy, seed + 9);
      const disc = smoothstep(radius, radius - 0.07, d) * (0.7 + 0.5 * smoothstep(radius - 0.16, radius - 0.03, d));
      tint(out, accents[Math.floor(chance * 11)] as Color, disc * 0.3 * (1 - 0.6 * y));
    }
    return 1;
  });
}

function paintGrass(canvas: Canvas, random: Random, leaf: Color, glow: Color, nearness: number, sunX: number): void {
  const count = Math.round(canvas.aspect * mix(60, 26, nearness));
  const haze = 0.55 * (1 - nearness);
  for (let i = 0; i < count; i++) {
    const x0 = between(random, -0.1, canvas.aspect + 0.1);
    const foot = mix(0.75, 1.15, nearness) + between(random, -0.05, 0.1);
    const height = mix(0.14, 0.5, nearness) * between(random, 0.5, 1.2);
    const lean = between(random, -0.45, 0.45) * height;
    const half = mix(0.0025, 0.011, nearness) * between(random, 0.6, 1.3);
    const color = vary(random, leaf, 0.4);
    const sunny = 1 / (1 + 3 * (x0 - sunX) * (x0 - sunX));
    const soft = canvas.pixel + 0.006 * (1 - nearness);
    paint(
      canvas,
      (x, y, out) => {
        const up = (foot - y) / height;
        if (up < 0 || up > 1) return 0;
        const middle = x0 + lean * up * up;
        const wide = half * (1 - up * up * 0.97);
        const side = (x - middle) / wide;
        const opacity = clamp(0.5 - ((Math.abs(side) - 1) * wide) / soft);
        if (opacity === 0) return 0;
        // A crease along the blade: one side catches the light, the tip lets it through.
        const brightness = 0.25 + 0.6 * up + (side > 0 ? 0.22 : 0) + 0.4 * sunny * up;
        lit(out, color, brightness);
        tint(out, glow, haze + 0.25 * sunny * up * up);
        return opacity;
      },
      {
        left: Math.min(x0, x0 + lean) - half - soft,
        right: Math.max(x0, x0 + lean) + half + soft,
        top: foot - height,
        bottom: foot,
      },
    );
  }
}

function paintStem(
  canvas: Canvas,
  random: Random,
  x0: number,
  y0: number,
  size: number,
  leaf: Color,
  glow: Color,
  nearness: number,
): void {
  const bend = between(random, -0.25, 0.25);
  const half = size * 0.045 + canvas.pixel * 0.3;
  const reach = 1 - y0 + 0.02;
  paint(
    canvas,
    (x, y, out) => {
      const down = (y - y0) / reach;
      if (down < 0) return 0;
      const middle = x0 + bend * reach * down * down;
      const side = (x - middle) / half;
      const opacity = clamp(0.5 - ((Math.abs(side) - 1) * half) / (canvas.pixel + 0.004 * (1 - nearness)));
      if (opacity === 0) return 0;
      lit(out, leaf, 0.55 + 0.3 * side - 0.25 * down);
      tint(out, glow, 0.5 * (1 - nearness));
      return opacity;
    },
    {
      left: Math.min(x0, x0 + bend * reach) - half * 2,
      right: Math.max(x0, x0 + bend * reach) + half * 2,
      top: y0,
      bottom: 1,
    },
  );
}

function paintFlower(
  canvas: Canvas,
  random: Random,
  kind: Species,
  x0: number,
  y0: number,
  size: number,
  blur: number,
  glow: Color,
  sunX: number,
): void {
  const seed = random.nextUint32();
  const soft = canvas.pixel + 0.012 * blur * (size < 0.08 ? 1 : 0.5);
  // Flowers face up and a little toward the viewer: an ellipse, turned.
  const flat = between(random, 0.55, 0.95);
  const tilt = between(random, -0.35, 0.35);
  // Directions of petals around a circle, from half angles t: (1 - t^2, 2 t) / (1 + t^2).
  const axes: { cos: number; sin: number; long: number; row: number }[] = [];
  for (let row = 0; row < kind.rows; row++) {
    const offset = random.nextUniform();
    for (let p = 0; p < kind.petals; p++) {
      const turn = (p + offset + between(random, -0.12, 0.12)) / kind.petals;
      const [cos, sin] = circle(turn);
      axes.push({ cos, sin, long: (1 - 0.24 * row) * between(random, 0.9, 1.05), row });
    }
  }
  const octaves = octavesFor(6 / size, canvas.pixel, 3);
  const reach = size * 1.15;
  const sunSide = sunX > x0 ? 1 : -1;
  paint(
    canvas,
    (x, y, out) => {
      const dx = (x - x0) / size;
      const dy = (y - y0) / size / flat + dx * tilt;
      const r = Math.sqrt(dx * dx + dy * dy);
      if (r > 1.1) return 0;
      let opacity = 0;
      if (r < kind.disc * 1.1) {
        // The middle: a dome of tiny florets.
        const floret = noise((dx / kind.disc) * 7, (dy / kind.disc) * 7, seed);
        const dome = Math.sqrt(Math.max(1 - (r * r) / (kind.disc * kind.disc), 0));
        const body = clamp(0.5 - ((r - kind.disc) * size) / soft);
        if (body > 0.5) {
          lit(out, kind.heart, 0.45 + 0.5 * dome + floret * 0.55 + 0.2 * sunSide * dx);
          tint(out, glow, blur * 0.6);
          return 1;
        }
      }
      // Later petals lie on top.
      for (let p = axes.length - 1; p >= 0 && opacity < 1; p--) {
        const axis = axes[p] as (typeof axes)[number];
        const along = (dx * axis.cos + dy * axis.sin) / axis.long;
        if (along < 0.02) continue;
        const aside = (dy * axis.cos - dx * axis.sin) / axis.long;
        // Narrow at the base, widest two thirds out, rounded at the tip.
        const half =
          kind.wide * Math.sqrt(Math.max(1 - (along - 0.62) * (along - 0.62) * 6.6, 0)) * (0.35 + 0.75 * along);
        const edge = along > 1.01 ? 1 : Math.abs(aside) - half;
        const covered = clamp(0.5 - (edge * axis.long * size) / soft);
        if (covered <= opacity) continue;
        opacity = covered;
        const across = aside / (half + 1e-6);
        const vein = fractal(along * 2, across * 6 + p * 3, octaves, seed + 5) * 0.14;
        const fold = 1 - 0.22 * across * across - 0.18 * smoothstep(0.25, 0, Math.abs(across));
        const facing = 0.16 * (axis.cos * sunSide - axis.sin);
        const under = 1 - 0.2 * (kind.rows - 1 - axis.row);
        blend(out, kind.inner, kind.outer, smoothstep(0.15, 0.65, along));
        lit(out, out, (0.72 + facing + vein + 0.2 * along) * fold * under * smoothstep(-0.15, 0.35, along));
        add(out, kind.outer, 0.12 * along * (1 + sunSide * dx));
        tint(out, glow, blur * 0.6);
      }
      return opacity;
    },
    { left: x0 - reach, right: x0 + reach, top: y0 - reach, bottom: y0 + reach },
  );
}

/** Point of the unit circle at a fraction of a turn, by the rational parametrization of each quarter (not exactly even). */
function circle(turn: number): readonly [number, number] {
  const quarters = turn * 4;
  const quarter = Math.floor(quarters);
  const t = (quarters - quarter) * (1 - 0.4142 * (1 - (quarters - quarter)) * 0.41);
  const cos = (1 - t * t) / (1 + t * t);
  const sin = (2 * t) / (1 + t * t);
  const q = quarter & 3;
  return q === 0 ? [cos, sin] : q === 1 ? [-sin, cos] : q === 2 ? [-cos, -sin] : [sin, -cos];
}

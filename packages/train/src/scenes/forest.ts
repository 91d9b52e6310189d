/** Inside a forest: trunks in mist behind each other, light through the canopy, ferns and leaves on the ground. */
import type { Random } from "@dcae/core/graph";
import { type Canvas, type Color, paint } from "./canvas.js";
import { fractal, hash, noise, octavesFor } from "./noise.js";
import { columnProfile, createRelief, relief } from "./relief.js";
import { add, between, blend, clamp, coverage, hex, mix, pick, smoothstep, tint, vary } from "./shading.js";

interface Light {
  readonly mist: Color;
  readonly leaf: Color;
  readonly bark: Color;
  readonly soil: Color;
  /** Where the light comes from. */
  readonly x: number;
  readonly seed: number;
}

export function forest(canvas: Canvas, random: Random): void {
  const [mist, leaf, bark, soil] = pick(random, [
    [0xc6d79a, 0x7da52e, 0x4a3b2a, 0x5a5a2a],
    [0xe8c98a, 0xc2902a, 0x4b3626, 0x7a4a22],
    [0xa9c2b8, 0x3f7f4a, 0x3b342c, 0x3d4a2a],
    [0xe0b078, 0xcc5f26, 0x3f2d24, 0x7c3c1e],
    [0xcfe0c0, 0x8ab840, 0xb8b2a4, 0x55602c],
  ]).map(hex) as [Color, Color, Color, Color];
  const light: Light = {
    mist: vary(random, mist, 0.08),
    leaf: vary(random, leaf, 0.15),
    bark: vary(random, bark, 0.2),
    soil: vary(random, soil, 0.15),
    x: between(random, 0.15, 0.85) * canvas.aspect,
    seed: random.nextUint32(),
  };
  paintDistance(canvas, light);
  paintGround(canvas, light);
  const layers = 4;
  for (let layer = 0; layer < layers; layer++) {
    const nearness = layer / (layers - 1);
    const spacing = mix(0.07, 0.42, nearness * nearness);
    for (let x = -0.1; x < canvas.aspect + 0.1; x += spacing * between(random, 0.5, 1.5)) {
      if (random.nextUniform() < 0.15 + 0.35 * nearness) continue;
      paintTrunk(canvas, light, {
        x: x + between(random, -0.5, 0.5) * spacing,
        width: mix(0.012, 0.085, nearness * nearness) * between(random, 0.7, 1.3),
        foot: mix(0.66, 1.04, nearness * Math.sqrt(nearness)) + between(random, -0.015, 0.02),
        lean: between(random, -0.06, 0.06),
        haze: 0.74 * (1 - nearness),
        seed: random.nextUint32(),
      });
    }
    paintLeaves(canvas, random, light, nearness, "canopy");
    paintLeaves(canvas, random, light, nearness, "ferns");
  }
  paintRays(canvas, light);
}

function paintDistance(canvas: Canvas, light: Light): void {
  const octaves = octavesFor(5, canvas.pixel, 5);
  paint(canvas, (x, y, out) => {
    const glow = 1 / (1 + 9 * (x - light.x) * (x - light.x) + 5 * (y - 0.35) * (y - 0.35));
    const leaves = fractal(x * 9, y * 9, octaves, light.seed, 0.6);
    blend(out, light.leaf, light.mist, clamp(0.45 + 0.55 * glow + leaves * 0.35));
    const brightness = 0.55 + 0.75 * glow;
    for (let c = 0; c < 3; c++) out[c] = (out[c] as number) * brightness;
    return 1;
  });
}

function paintGround(canvas: Canvas, light: Light): void {
  const horizon = 0.63;
  const ground = createRelief();
  const moss = light.leaf;
  const outline = columnProfile(canvas, (x) => horizon + 0.02 * fractal(x * 3, 0, 4, light.seed + 30));
  paint(
    canvas,
    (x, y, out) => {
      const line = outline[Math.floor(x * canvas.height)] as number;
      const opacity = coverage(line - y, canvas.pixel * 2);
      if (opacity === 0) return 0;
      const depth = y - line;
      const distance = 0.25 / (depth + 0.06);
      const u = (x - canvas.aspect / 2) * distance * 4;
      const v = distance * 9;
      const octaves = octavesFor(3, canvas.pixel * distance * 3, 6);
      relief(u, v, octaves, light.seed + 31, 0.62, 0, ground);
      const patch = fractal(u * 0.35, v * 0.35, 2, light.seed + 40);
      blend(out, light.soil, moss, smoothstep(-0.25, 0.35, patch + ground.height * 0.3));
      const dapple = smoothstep(-0.1, 0.45, fractal(x * 4 + y * 2, y * 9, 2, light.seed + 50));
      const direct = clamp(0.5 + 0.22 * ground.slopeX * (light.x > x ? -1 : 1) + 0.25 * ground.slopeY, 0.02, 1.6);
      const brightness = 0.2 + direct * (0.35 + 0.9 * dapple);
      for (let c = 0; c < 3; c++) out[c] = (out[c] as number) * brightness * (0.7 + 0.3 * (light.mist[c] as number));
      tint(out, light.mist, 0.8 * clamp(1 - depth * 6));
      return opacity;
    },
    { left: 0, top: horizon - 0.06, right: canvas.aspect, bottom: 1 },
  );
}

interface Trunk {
  readonly x: number;
  readonly width: number;
  readonly foot: number;
  readonly lean: number;
  readonly haze: number;
  readonly seed: number;
}

function paintTrunk(canvas: Canvas, light: Light, trunk: Trunk): void {
  const { width, foot, lean, haze, seed } = trunk;
  const bark = createRelief();
  const octaves = octavesFor(2 / width, canvas.pixel, 4);
  const side = light.x > trunk.x ? 1 : -1;
  const reach = 1.3 * width + Math.abs(lean) * foot;
  paint(
    canvas,
    (x, y, out) => {
      const up = foot - y;
      if (up < 0) return 0;
      const axis = trunk.x + lean * up;
      if (Math.abs(x - axis) > 1.3 * width) return 0;
      const center = axis + 0.25 * width * noise(y * 3, 1, seed);
      const flare = 1 + 0.8 / (1 + (up / width) * (up / width)) - 0.18 * up;
      const half = width * 0.5 * flare;
      const across = (x - center) / half;
      const rough = 0.06 * noise(y / width, across > 0 ? 3 : 8, seed);
      const opacity = coverage((Math.abs(across) - 1 - rough) * half, canvas.pixel);
      if (opacity === 0) return 0;
      const round = clamp(across, -0.98, 0.98);
      const facing = Math.sqrt(1 - round * round);
      // Bark is furrowed along the trunk; it closes up toward the sides of the cylinder.
      const around = round * (1 + 0.35 * round * round) * 3.2;
      relief(around + 3 * seed, (y / width) * 0.75, octaves, seed, 0.6, 0.1, bark);
      const furrow = clamp(0.75 + 0.55 * bark.height + 0.22 * side * bark.slopeX, 0.15, 1.6);
      const shade = 0.16 + 0.75 * clamp(0.45 * facing + 0.75 * side * round);
      const moss = smoothstep(0.05, 0.5, noise(around, y * 5, seed + 9) + 0.35 - up * 0.6) * 0.5;
      blend(out, light.bark, light.leaf, moss);
      for (let c = 0; c < 3; c++) out[c] = (out[c] as number) * furrow * (0.12 + shade * (light.mist[c] as number));
      const rim = smoothstep(0.75, 1, side * round) * 0.25;
      add(out, light.mist, rim * furrow * 0.5);
      tint(out, light.mist, haze);
      return opacity;
    },
    { left: trunk.x - reach, top: 0, right: trunk.x + reach, bottom: Math.min(foot, 1) },
  );
}

/** Leaves hanging in from above, or ferns around the feet of the trunks. */
function paintLeaves(canvas: Canvas, random: Random, light: Light, nearness: number, where: "canopy" | "ferns"): void {
  const seed = random.nextUint32();
  const scale = mix(52, 24, nearness);
  const haze = 0.7 * (1 - nearness);
  const canopy = where === "canopy";
  const lattices = nearness < 0.5 ? 2 : 3;
  const reach = mix(0.4, 0.2, nearness);
  const low = mix(0.68, 0.95, nearness);
  const dark: Color = [light.leaf[0] * 0.12, light.leaf[1] * 0.16, light.leaf[2] * 0.14];
  paint(
    canvas,
    (x, y, out) => {
      // Clumps reach about 0.7: farther away nothing can grow.
      if (!canopy && Math.abs(y - low) * (4.5 - 2 * nearness) > 1.05) return 0;
      const clumps = noise(x * 3.2, y * 3.2 + nearness * 7, seed);
      const amount = canopy
        ? (reach - y) * 3.2 + clumps * 1.5
        : 0.18 + 0.5 * clumps - Math.abs(y - low) * (4.5 - 2 * nearness);
      if (amount < -0.5) return 0;
      // Each lattice cell holds a leaf: an ellipse at a random place and angle; several lattices overlap.
      let opacity = 0;
      for (let lattice = 0; lattice < lattices; lattice++) {
        const gx = x * scale + lattice * 0.37;
        const gy = y * scale + lattice * 0.61;
        const ix = Math.floor(gx);
        const iy = Math.floor(gy);
        const h = hash(ix, iy, seed + lattice);
        if ((h & 0xff) / 255 > 0.5 + amount) continue;
        const dx = gx - ix - 0.4 - ((h >>> 8) & 15) / 75;
        const dy = gy - iy - 0.4 - ((h >>> 12) & 15) / 75;
        const turn = ((h >>> 16) & 63) / 20 - 1.5;
        const along = dx + dy * turn;
        const aside = dy - dx * turn;
        const distance = Math.sqrt((along * along + 5.5 * aside * aside) / (1 + turn * turn)) - 0.4;
        const covered = coverage(distance / scale, canvas.pixel);
        if (covered <= opacity) continue;
        opacity = covered;
        const shine = (h >>> 24) / 255;
        const glow = 1 / (1 + 7 * (x - light.x) * (x - light.x) + 3 * y * y);
        const vein = 1 - 0.25 * smoothstep(0.05, 0, Math.abs(aside));
        const sheen = clamp(0.06 + shine * shine * 0.55 + 0.65 * glow * shine + (aside < 0 ? 0.1 : 0));
        blend(out, dark, light.leaf, sheen * vein);
        tint(out, light.mist, clamp(haze + 0.3 * glow * shine * shine));
      }
      return opacity;
    },
    canopy
      ? { left: 0, top: 0, right: canvas.aspect, bottom: reach + 0.3 }
      : { left: 0, top: low - 0.24, right: canvas.aspect, bottom: 1 },
  );
}

function paintRays(canvas: Canvas, light: Light): void {
  paint(canvas, (x, y, out) => {
    const dx = x - light.x;
    const fan = dx / (y + 0.35);
    const beam = smoothstep(0.05, 0.5, fractal(fan * 7, 0.3, 2, light.seed + 70) + 0.1);
    out[0] = light.mist[0] * 1.15;
    out[1] = light.mist[1] * 1.12;
    out[2] = light.mist[2];
    return (0.3 * beam * clamp(1.05 - y)) / (1 + 3 * fan * fan);
  });
}

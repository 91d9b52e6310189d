/** A skyline: rows of buildings with windows, lit at dusk, above a street, a park or a river that mirrors them. */
import type { Random } from "@dcae/core/graph";
import { type Canvas, type Color, paint, sample } from "./canvas.js";
import { fractal, hashUnit, noise, octavesFor } from "./noise.js";
import { add, between, blend, clamp, coverage, hex, mix, pick, smoothstep, tint, vary } from "./shading.js";
import { paintSky, randomSky, type Sky } from "./sky.js";

export function city(canvas: Canvas, random: Random): void {
  const night = random.nextUniform() < 0.45;
  const ground = between(random, 0.74, 0.88);
  let sky = randomSky(random, canvas.aspect, ground * 0.8);
  if (night) {
    const glow = hex(pick(random, [0x3a4a72, 0x6b4a5e, 0x2c4a66]));
    const dark = hex(0x0c1530);
    sky = { ...sky, zenith: dark, horizon: glow, sun: hex(0xcfd6e6), cloud: hex(0x3a4260), shade: hex(0x1c2440) };
  }
  paintSky(canvas, sky, ground * 0.85);
  const layers = 4;
  const styles: readonly [Color, ...Color[]] = [
    hex(0x9a8f84),
    hex(0x7d8894),
    hex(0xb49a7c),
    hex(0x8a5a46),
    hex(0xc9c3b6),
    hex(0x5d6a78),
    hex(0x476068),
  ];
  for (let layer = 0; layer < layers; layer++) {
    const nearness = layer / (layers - 1);
    let x = -between(random, 0, 0.1);
    while (x < canvas.aspect) {
      const width = mix(0.055, 0.2, nearness) * between(random, 0.6, 1.4);
      const tower = random.nextUniform() < 0.3 ? 1.5 : 1;
      paintBuilding(canvas, sky, {
        left: x,
        right: x + width,
        top: ground - mix(0.42, 0.2, nearness) * between(random, 0.45, 1.15) * tower,
        bottom: ground,
        floors: between(random, 34, 60) * mix(1.5, 0.75, nearness),
        wall: vary(random, pick(random, styles), 0.2),
        style: random.nextInteger(4),
        night,
        haze: 0.7 * (1 - nearness) * Math.sqrt(1 - nearness) + 0.03,
        seed: random.nextUint32(),
      });
      x += width + (random.nextUniform() < 0.3 ? between(random, 0.005, 0.05) : 0);
    }
  }
  if (random.nextUniform() < 0.6) paintRiver(canvas, sky, ground, random.nextUint32());
  else paintStreet(canvas, random, sky, ground, night);
}

interface Building {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
  /** Floors per unit of height. */
  readonly floors: number;
  readonly wall: Color;
  readonly style: number;
  readonly night: boolean;
  readonly haze: number;
  readonly seed: number;
}

function paintBuilding(canvas: Canvas, sky: Sky, b: Building): void {
  const warm = hex(0xffd489);
  const cool = hex(0xdfeaf5);
  const width = b.right - b.left;
  const bays = Math.max(Math.round(width * b.floors * (b.style === 2 ? 0.6 : 0.9)), 2);
  const sunSide = sky.sunX > b.left + width / 2 ? 1 : -1;
  // The face away from the sun is a darker strip: the corner of the building.
  const corner = 0.5 + sunSide * (0.5 - 0.12 - 0.3 * hashUnit(1, 1, b.seed));
  const brightness = b.night ? 0.12 : 0.85;
  const spire = b.style === 1 && hashUnit(2, 2, b.seed) < 0.5;
  paint(
    canvas,
    (x, y, out) => {
      const across = (x - b.left) / width;
      const down = y - b.top;
      // Setbacks: the top of some towers is narrower.
      const setback = b.style === 1 ? (down < 0.04 ? 0.28 : down < 0.09 ? 0.14 : 0) : 0;
      const inside = Math.max(Math.abs(across - 0.5) - 0.5 + setback, -1) * width;
      let opacity = Math.min(coverage(inside, canvas.pixel), coverage(-down, canvas.pixel));
      if (down < 0 && spire)
        opacity = down > -0.09 ? coverage(Math.abs(x - b.left - width / 2) - 0.0016, canvas.pixel) : 0;
      if (opacity === 0) return 0;
      const shadowed = (across - corner) * sunSide < 0;
      const dirt = 0.9 + 0.16 * noise(x * 30, y * 7, b.seed) + 0.1 * noise(x * 120, y * 120, b.seed);
      const shade = brightness * (shadowed ? 0.5 : 1) * dirt * (0.85 + 0.3 * clamp(1 - down * 2.5));
      for (let c = 0; c < 3; c++) {
        out[c] =
          (b.wall[c] as number) * shade * (0.45 * (sky.horizon[c] as number) + 0.55 * (sky.sun[c] as number) + 0.15);
      }
      if (down > 0.008) paintWindow(out, across, down, shadowed);
      tint(out, sky.horizon, clamp(b.haze + 0.12 * smoothstep(b.top, b.bottom, y) * b.haze));
      return opacity;
    },
    { left: b.left - canvas.pixel, top: b.top - (spire ? 0.1 : 0.01), right: b.right + canvas.pixel, bottom: b.bottom },
  );

  function paintWindow(out: Color, across: number, down: number, shadowed: boolean): void {
    const row = down * b.floors;
    const column = across * bays;
    const iy = Math.floor(row);
    const ix = Math.floor(column);
    const fx = Math.abs(column - ix - 0.5);
    const fy = Math.abs(row - iy - 0.5);
    // Windows, ribbons, or a curtain wall with thin mullions.
    const [wide, high] =
      b.style === 0 ? [0.3, 0.3] : b.style === 1 ? [0.28, 0.42] : b.style === 2 ? [0.5, 0.28] : [0.45, 0.43];
    const softX = Math.max((bays * canvas.pixel) / width, 0.02);
    const softY = Math.max(b.floors * canvas.pixel, 0.02);
    const glass = clamp((wide - fx) / softX + 0.5) * clamp((high - fy) / softY + 0.5);
    if (glass === 0) return;
    const h = hashUnit(ix, iy, b.seed);
    const on = h < (b.night ? 0.42 : 0.06);
    if (on) {
      const lamp = h * 100 - Math.floor(h * 100) < 0.75 ? warm : cool;
      const power = (b.night ? 0.9 : 0.7) * (0.5 + 0.8 * hashUnit(ix, iy, b.seed + 1));
      for (let c = 0; c < 3; c++) out[c] = mix(out[c] as number, (lamp[c] as number) * power, glass);
    } else {
      // Glass mirrors the sky, each pane a little differently.
      const mirror = (0.25 + 0.35 * hashUnit(ix, iy, b.seed + 2)) * (shadowed ? 0.6 : 1) * (b.style === 3 ? 1.6 : 1);
      for (let c = 0; c < 3; c++) {
        const seen = (sky.zenith[c] as number) * 0.5 + (sky.horizon[c] as number) * 0.5;
        out[c] = mix(out[c] as number, seen * mirror, glass * 0.85);
      }
    }
  }
}

function paintRiver(canvas: Canvas, sky: Sky, bank: number, seed: number): void {
  const deep: Color = [0, 0, 0];
  blend(deep, sky.zenith, [0.01, 0.02, 0.025], 0.7);
  const octaves = octavesFor(20, canvas.pixel, 4);
  paint(
    canvas,
    (x, y, out) => {
      const depth = y - bank;
      if (depth < 0) {
        // The embankment.
        const stone = 0.05 + 0.03 * noise(x * 60, y * 300, seed);
        out[0] = stone;
        out[1] = stone;
        out[2] = stone * 1.1;
        return depth > -0.012 ? 1 : 0;
      }
      const near = 1 / (depth + 0.04);
      const wave = fractal(x * near * 0.8, near * 2.6, octaves, seed, 0.6);
      const shift = wave * (0.01 + depth * 0.16);
      sample(canvas, x + shift * 0.5, bank - 0.012 - depth * 1.15 - shift, out);
      tint(out, deep, clamp(0.3 + depth * 0.6 + wave * 0.2));
      add(out, sky.horizon, 0.14 * smoothstep(0.15, 0.6, wave));
      return 1;
    },
    { left: 0, top: bank - 0.02, right: canvas.aspect, bottom: 1 },
  );
}

function paintStreet(canvas: Canvas, random: Random, sky: Sky, ground: number, night: boolean): void {
  const seed = random.nextUint32();
  const light = night ? 0.25 : 1;
  const asphalt: Color = [0.075 * light, 0.075 * light, 0.08 * light];
  const center = between(random, 0.35, 0.65) * canvas.aspect;
  paint(
    canvas,
    (x, y, out) => {
      const depth = (y - ground) / (1 - ground);
      const distance = 1 / (depth + 0.08);
      const lane = (x - center) * distance;
      const grain = 0.85 + 0.3 * fractal(x * distance * 22, distance * 40, 3, seed);
      const kerb = Math.abs(lane) > 1.15;
      for (let c = 0; c < 3; c++) {
        const base = kerb ? 0.22 * light : (asphalt[c] as number);
        out[c] = base * grain * (0.4 + 0.6 * (sky.horizon[c] as number) + 0.3 * (sky.sun[c] as number));
      }
      const dash = Math.abs(lane) < 0.035 && (distance * 1.4) % 1 < 0.5;
      const edge = Math.abs(Math.abs(lane) - 1.05) < 0.03;
      if (dash || edge) add(out, [0.5, 0.5, 0.45], light * 0.8);
      if (night) {
        // Lamps leave streaks on the wet road.
        const streak = smoothstep(0.2, 0.6, noise(x * 9, 0.5, seed + 3)) * clamp(1 - depth * 0.8);
        add(out, hex(0xffb45a), 0.4 * streak * grain);
      }
      return coverage(ground - y, canvas.pixel);
    },
    { left: 0, top: ground - 0.01, right: canvas.aspect, bottom: 1 },
  );
  const trees = random.nextInteger(5);
  for (let i = 0; i < trees; i++) {
    const size = between(random, 0.06, 0.13);
    const x0 = between(random, 0, 1) * canvas.aspect;
    const foot = ground + between(random, 0, 0.03);
    const leaf = vary(random, hex(0x3f5a2a), 0.25);
    const treeSeed = random.nextUint32();
    paint(
      canvas,
      (x, y, out) => {
        const dx = (x - x0) / size;
        const dy = (foot - y) / size - 1.1;
        const bumps = fractal(x * 45, y * 45, 4, treeSeed, 0.6);
        const crown = Math.sqrt(dx * dx + dy * dy * 0.8) - 0.62 - 0.3 * bumps;
        const trunk = Math.max(Math.abs(dx) - 0.05, dy + 0.3);
        const sunny =
          clamp(0.6 + 0.5 * dy + dx * (sky.sunX > x0 ? 0.4 : -0.4) + bumps * 1.3, 0.1, 1.8) * (night ? 0.15 : 1);
        const isCrown = crown < trunk;
        for (let c = 0; c < 3; c++) out[c] = (isCrown ? (leaf[c] as number) : 0.05) * sunny;
        return y < foot ? coverage(Math.min(crown, trunk) * size, canvas.pixel) : 0;
      },
      { left: x0 - size, top: foot - size * 2.2, right: x0 + size, bottom: Math.min(foot, 1) },
    );
  }
}

/**
 * Skies: a gradient, the glow around the sun, clouds that are lit from its side.
 */
import type { Random } from "@dcae/core/graph";
import { type Canvas, type Color, paint } from "./canvas.js";
import { fractal, octavesFor } from "./noise.js";
import { add, between, blend, hex, pick, smoothstep, tint } from "./shading.js";

export interface Sky {
  readonly zenith: Color;
  readonly horizon: Color;
  readonly sun: Color;
  readonly cloud: Color;
  readonly shade: Color;
  /** Position of the sun, in scene units. */
  readonly sunX: number;
  readonly sunY: number;
  /** 0 to 1. */
  readonly clouds: number;
  readonly seed: number;
}

type Mood = "noon" | "morning" | "evening" | "overcast";

const MOODS: Readonly<
  Record<Mood, readonly [zenith: number, horizon: number, sun: number, cloud: number, shade: number]>
> = {
  noon: [0x2f6fb8, 0xb9d8ec, 0xfff6dc, 0xffffff, 0x9fb2c6],
  morning: [0x6b9ccf, 0xf6dcc0, 0xfff0c8, 0xfff4e6, 0xb5a8b4],
  evening: [0x3b4a86, 0xf59a54, 0xffd58a, 0xf7a777, 0x6f5479],
  overcast: [0x8797a6, 0xcfd6da, 0xf2f2ee, 0xe2e6e8, 0x8d98a2],
};

/** A random sky whose sun stands above `horizon`. */
export function randomSky(random: Random, aspect: number, horizon: number): Sky {
  const mood = pick<Mood>(random, ["noon", "noon", "morning", "evening", "evening", "overcast"]);
  const [zenith, low, sun, cloud, shade] = MOODS[mood].map(hex) as [Color, Color, Color, Color, Color];
  const height = mood === "noon" || mood === "overcast" ? between(random, 0.15, 0.5) : between(random, 0.7, 0.95);
  return {
    zenith,
    horizon: low,
    sun,
    cloud,
    shade,
    sunX: between(random, 0.1, 0.9) * aspect,
    sunY: height * horizon,
    clouds: mood === "overcast" ? between(random, 0.7, 1) : between(random, 0.15, 0.75),
    seed: random.nextUint32(),
  };
}

/** Paints the sky from the top to `horizon` (and a little below, under whatever stands there). */
export function paintSky(canvas: Canvas, sky: Sky, horizon: number): void {
  const { zenith, horizon: low, sun, cloud, shade, sunX, sunY, seed } = sky;
  const octaves = octavesFor(2, canvas.pixel, 6);
  const threshold = 0.42 - 0.62 * sky.clouds;
  paint(
    canvas,
    (x, y, out) => {
      const height = Math.min(y / horizon, 1);
      blend(out, zenith, low, height * height * (0.4 + 0.6 * height));
      const dx = x - sunX;
      const dy = y - sunY;
      const distance = dx * dx + dy * dy;
      add(out, sun, (0.035 / (distance + 0.03)) * 0.35 + 0.9 * (1 - smoothstep(0.0004, 0.0016, distance)));
      // Clouds lie on a ceiling: they become flat and small toward the horizon.
      const depth = 1 / (1.12 - height);
      const cx = (x - 0.5 * canvas.aspect) * depth * 1.5;
      const cy = depth * 2.2;
      const density = fractal(cx, cy, octaves, seed, 0.55);
      const amount = smoothstep(threshold, threshold + 0.5, density) * (1 - 0.35 * height);
      if (amount > 0) {
        // Thinner toward the sun means lit from there.
        const toward = fractal(cx - dx * 0.6, cy + 0.25, Math.min(octaves, 3), seed, 0.55);
        const light = smoothstep(-0.35, 0.4, density - toward + 0.1);
        const r = shade[0] + (cloud[0] - shade[0]) * light;
        const g = shade[1] + (cloud[1] - shade[1]) * light;
        const b = shade[2] + (cloud[2] - shade[2]) * light;
        const veil = amount * 0.92;
        out[0] += (r - out[0]) * veil;
        out[1] += (g - out[1]) * veil;
        out[2] += (b - out[2]) * veil;
        add(out, sun, (veil * 0.02) / (distance + 0.04));
      }
      tint(out, low, 0.25 * height * height * height);
      return 1;
    },
    { left: 0, top: 0, right: canvas.aspect, bottom: Math.min(horizon + 0.15, 1) },
  );
}

/** A desert: dunes with sharp crests, one side in the sun and one in shadow, wind ripples, sometimes footprints. */
import type { Random } from "@dcae/core/graph";
import { type Canvas, type Color, paint } from "./canvas.js";
import { fractal, noise, octavesFor } from "./noise.js";
import { columnProfile, coveredFrom, lowestOf } from "./relief.js";
import { between, clamp, coverage, hex, lit, mix, pick, smoothstep, tint, vary } from "./shading.js";
import { paintSky, randomSky, type Sky } from "./sky.js";

export function dunes(canvas: Canvas, random: Random): void {
  const horizon = between(random, 0.3, 0.5);
  const sky = { ...randomSky(random, canvas.aspect, horizon), clouds: between(random, 0, 0.4) };
  paintSky(canvas, sky, horizon);
  const sand = vary(random, pick(random, [hex(0xe0b070), hex(0xd8925a), hex(0xe8cc98), hex(0xc87848)]), 0.1);
  const shadow = vary(random, pick(random, [hex(0x6a4a4a), hex(0x7a4a34), hex(0x5a4658)]), 0.15);
  const count = 4 + random.nextInteger(2);
  const sunSide = sky.sunX > canvas.aspect / 2 ? 1 : -1;
  const layers = Array.from({ length: count }, (_, layer): Dune => {
    const nearness = layer / (count - 1);
    return {
      base: mix(horizon + 0.02, 0.8, nearness * nearness) + between(random, -0.02, 0.05),
      height: mix(0.05, 0.2, nearness) * between(random, 0.7, 1.2),
      frequency: mix(1.6, 0.55, nearness),
      haze: 0.62 * (1 - nearness),
      nearness,
      sand,
      shadow,
      sunSide,
      seed: random.nextUint32(),
    };
  });
  const crests = layers.map((dune) => columnProfile(canvas, (x) => crestOf(dune, x)));
  const covers = coveredFrom(crests);
  layers.forEach((dune, i) => {
    paintDune(canvas, sky, dune, crests[i] as Float64Array, covers[i] as Float64Array);
  });
}

interface Dune {
  readonly base: number;
  readonly height: number;
  readonly frequency: number;
  readonly haze: number;
  readonly nearness: number;
  readonly sand: Color;
  readonly shadow: Color;
  readonly sunSide: number;
  readonly seed: number;
}

/** Long swells with a few sharp peaks. */
function crestOf({ base, height, frequency, seed }: Dune, x: number): number {
  const swell = noise(x * frequency, 0.5, seed);
  const folded = 1 - Math.abs(noise(x * frequency * 1.1 + 4, 2.5, seed)) * 2.2;
  const peaks = folded * folded * Math.sign(folded);
  return base - height * (0.5 + 0.55 * swell + 0.5 * peaks) + 0.004 * noise(x * 9, 1, seed);
}

function paintDune(canvas: Canvas, sky: Sky, dune: Dune, crest: Float64Array, cover: Float64Array): void {
  const { height, frequency, haze, nearness, sand, shadow, sunSide, seed } = dune;
  const rippleScale = mix(120, 34, nearness);
  const sharp = smoothstep(0.7, 0.25, rippleScale * canvas.pixel * 1.3);
  const octaves = octavesFor(60, canvas.pixel, 3);
  paint(
    canvas,
    (x, y, out) => {
      const column = Math.floor(x * canvas.height);
      const line = crest[column] as number;
      const opacity = y > (cover[column] as number) ? 0 : coverage(line - y, canvas.pixel);
      if (opacity === 0) return 0;
      const depth = y - line;
      // The brink runs down from the crest in a winding line and parts the lit slope from the slip face.
      const reach = depth / (height + 0.05);
      const wind =
        noise(x * frequency * 1.3 + reach * 0.9, reach * 0.8, seed + 10) +
        0.5 * noise(x * frequency * 3, reach * 1.9, seed + 11);
      const edge = wind * sunSide + 0.1 - 0.28 * reach * 0.5;
      const slip = smoothstep(-0.012 - 0.05 * reach, 0.012 + 0.05 * reach, edge);
      const swell = noise(x * frequency * 2.2 + depth * 2, depth * 5, seed + 20);
      const direct = clamp(0.62 + 0.3 * swell + 0.18 * smoothstep(0.1, 0, depth));
      // Ripples: wavy lines across the wind, closer together the farther they are.
      const squeeze = 1 / (0.35 + depth * 1.6 + nearness * 0.4);
      const warp = fractal(x * 3.2, depth * 6 * squeeze, 3, seed + 30) * 1.6;
      const phase = (depth * squeeze * 0.9 + 0.22 * x * sunSide) * rippleScale + warp * 1.5;
      const saw = phase - Math.floor(phase);
      const ripple = (saw < 0.72 ? saw / 0.72 : (1 - saw) / 0.28) - 0.5;
      const grain = noise(x * 210, y * 260, seed + 40) * 0.1 + fractal(x * 60, y * 60, octaves, seed + 41) * 0.07;
      const texture = ripple * 0.32 * sharp * (1 - 0.65 * slip) * smoothstep(0, 0.05, depth) + grain;
      lit(out, sand, clamp(direct + texture * 0.9, 0.05, 1.5));
      for (let c = 0; c < 3; c++) {
        const sunlit = (out[c] as number) * (0.3 + 0.9 * (sky.sun[c] as number));
        const shaded =
          ((shadow[c] as number) * 0.75 + (sky.zenith[c] as number) * 0.22) * (0.75 + 0.25 * swell + texture * 0.7);
        out[c] = mix(sunlit, shaded, slip * 0.92);
      }
      tint(out, sky.horizon, clamp(haze + 0.1 * haze * smoothstep(0.1, 0, depth)));
      return opacity;
    },
    { left: 0, top: lowestOf(crest) - canvas.pixel, right: canvas.aspect, bottom: 1 },
  );
}

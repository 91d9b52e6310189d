/** A printed page on a desk: headings, columns of text, a chart or a picture, stains and shadows. */
import type { Random } from "@dcae/core/graph";
import { type Canvas, type Color, paint } from "./canvas.js";
import { createAlphabet, type Place, paintText, type TextBlock } from "./glyphs.js";
import { fractal, noise, octavesFor } from "./noise.js";
import { between, blend, clamp, coverage, hex, mix, pick, segmentDistance, smoothstep, tint, vary } from "./shading.js";

export function page(canvas: Canvas, random: Random): void {
  paintDesk(canvas, random);
  // The page, turned a little: its own coordinates run from 0 to its width and from 0 to 1.
  const width = Math.min(0.76, canvas.aspect * 0.84);
  const size = between(random, 0.92, 1.15);
  const sin = between(random, -0.14, 0.14);
  const cos = Math.sqrt(1 - sin * sin);
  const originX = canvas.aspect / 2 - (cos * width * size) / 2 + (sin * size) / 2 + between(random, -0.04, 0.04);
  const originY = 0.5 - (cos * size) / 2 - (sin * width * size) / 2 + between(random, -0.03, 0.05);
  const place: Place = (x, y) => [originX + size * (cos * x - sin * y), originY + size * (sin * x + cos * y)];
  const paper = vary(random, pick(random, [hex(0xf6f2e6), hex(0xfbfaf6), hex(0xecdfc2), hex(0xe8ecec)]), 0.04);
  const seed = random.nextUint32();

  const onPage = (x: number, y: number): readonly [number, number] => {
    const dx = (x - originX) / size;
    const dy = (y - originY) / size;
    return [cos * dx + sin * dy, cos * dy - sin * dx];
  };
  const distance = (px: number, py: number) => Math.max(-px, px - width, -py, py - 1);
  paint(canvas, (x, y, out) => {
    // The page's shadow on the desk.
    const [px, py] = onPage(x - 0.012, y - 0.016);
    out[0] = out[1] = out[2] = 0;
    return 0.6 * smoothstep(0.03, -0.03, distance(px, py));
  });
  const octaves = octavesFor(30, canvas.pixel, 4);
  paint(canvas, (x, y, out) => {
    const [px, py] = onPage(x, y);
    const opacity = coverage(distance(px, py) * size, canvas.pixel);
    if (opacity === 0) return 0;
    const fiber = fractal(px * 40, py * 40, octaves, seed) * 0.025;
    const curl = 0.06 * noise(px * 1.5, py * 1.5, seed + 5);
    for (let c = 0; c < 3; c++) out[c] = (paper[c] as number) * (1.12 + fiber + curl);
    return opacity;
  });

  paintContents(canvas, random, width, place, onPage);

  if (random.nextUniform() < 0.35) paintStain(canvas, random, width, place);
  paintLight(canvas, random);
}

type OnPage = (x: number, y: number) => readonly [number, number];

function paintContents(canvas: Canvas, random: Random, width: number, place: Place, onPage: OnPage): void {
  const alphabet = createAlphabet(random);
  const ink = pick(random, [hex(0x1c1c20), hex(0x202838), hex(0x2e2420)]);
  const accent = vary(random, pick(random, [hex(0x9a2a22), hex(0x1f4f8a), hex(0x2a6a4a), hex(0x1c1c20)]), 0.1);
  const margin = width * between(random, 0.09, 0.13);
  const columns = 1 + random.nextInteger(2);
  const size = between(random, 0.0095, 0.014);
  const leading = between(random, 2.2, 2.7);
  const common = { ink, leading, weight: between(random, 0.16, 0.24), size, last: 1 };
  const block = (rest: Partial<TextBlock> & Pick<TextBlock, "left" | "right" | "top" | "lines">): void =>
    paintText(canvas, random, alphabet, { ...common, ...rest }, place);

  let y = 0.09;
  const title = size * between(random, 2, 3.2);
  block({
    left: margin,
    right: width - margin,
    top: y,
    lines: 1,
    size: title,
    weight: 0.26,
    ink: accent,
    last: between(random, 0.55, 0.95),
  });
  y += title * 1.5;
  block({
    left: margin,
    right: width - margin,
    top: y,
    lines: 1,
    size: size * 1.1,
    ink,
    last: between(random, 0.3, 0.6),
  });
  y += size * 2;
  paintRule(canvas, place(margin, y), place(width - margin, y), accent, 0.0012);
  y += size * 3.4;

  const gap = width * 0.05;
  const columnWidth = (width - 2 * margin - gap * (columns - 1)) / columns;
  const figureAt = random.nextInteger(columns);
  for (let column = 0; column < columns; column++) {
    const left = margin + column * (columnWidth + gap);
    const right = left + columnWidth;
    let top = y;
    let figure = column === figureAt && random.nextUniform() < 0.85;
    while (top < 0.93) {
      if (figure && random.nextUniform() < 0.5) {
        const height = Math.min(columnWidth * between(random, 0.45, 0.7), 0.9 - top);
        if (height > 0.08) {
          paintFigure(canvas, random, { left, right, top, bottom: top + height }, onPage, accent, ink);
          top += height + size * 2;
          block({ left, right, top, lines: 1, size: size * 0.85, last: 0.8 });
          top += size * 3.4;
        }
        figure = false;
        continue;
      }
      if (random.nextUniform() < 0.3) {
        block({
          left,
          right,
          top,
          lines: 1,
          size: size * 1.25,
          weight: 0.3,
          ink: accent,
          last: between(random, 0.35, 0.8),
        });
        top += size * 3.2;
      }
      const lines = Math.min(3 + random.nextInteger(6), Math.floor((0.95 - top) / (size * leading)));
      if (lines < 1) break;
      block({ left, right, top, lines, last: between(random, 0.2, 0.95) });
      top += (lines * leading + 1) * size;
    }
  }
}

function paintRule(
  canvas: Canvas,
  a: readonly [number, number],
  b: readonly [number, number],
  color: Color,
  half: number,
): void {
  paint(
    canvas,
    (x, y, out) => {
      out[0] = color[0];
      out[1] = color[1];
      out[2] = color[2];
      return coverage(segmentDistance(x, y, a[0], a[1], b[0], b[1]) - half, canvas.pixel);
    },
    {
      left: Math.min(a[0], b[0]) - 0.01,
      right: Math.max(a[0], b[0]) + 0.01,
      top: Math.min(a[1], b[1]) - 0.01,
      bottom: Math.max(a[1], b[1]) + 0.01,
    },
  );
}

interface Frame {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** A bar chart, a curve with points, or a photograph of hills. */
function paintFigure(canvas: Canvas, random: Random, frame: Frame, onPage: OnPage, accent: Color, ink: Color): void {
  const kind = random.nextInteger(3);
  const seed = random.nextUint32();
  const bars = 5 + random.nextInteger(6);
  const second = vary(random, hex(0xd9a23a), 0.3);
  const width = frame.right - frame.left;
  const height = frame.bottom - frame.top;
  const curve = (t: number, offset: number) => 0.5 + 0.5 * fractal(t * 2.5, offset, 4, seed);
  paint(canvas, (x, y, out) => {
    const [px, py] = onPage(x, y);
    const u = (px - frame.left) / width;
    const v = (frame.bottom - py) / height;
    if (u < 0 || u > 1 || v < 0 || v > 1) return 0;
    if (kind === 2) {
      const hill = 0.35 + 0.3 * noise(u * 2.2, 0, seed) + 0.1 * fractal(u * 9, 4, 3, seed);
      const far = 0.5 + 0.25 * noise(u * 1.4, 7, seed);
      const grain = 0.85 + 0.3 * fractal(u * 20, v * 20, 4, seed + 3);
      const sky = mix(0.85, 0.45, v);
      const sun = smoothstep(0.1, 0.07, Math.sqrt((u - 0.7) * (u - 0.7) + (v - 0.78) * (v - 0.78) * 0.4));
      const tone = v < hill ? 0.12 * grain : v < far ? 0.3 * grain : sky + 0.3 * sun;
      blend(out, accent, [1, 0.98, 0.94], clamp(tone));
      return 1;
    }
    const axis = Math.min(Math.abs(u - 0.02) * width, Math.abs(v - 0.03) * height) < 0.0013 && u > 0.015 && v > 0.02;
    const grid = Math.abs(v * 5 - Math.round(v * 5)) * height * 0.2 < 0.0006;
    let opacity = axis ? 0.9 : grid ? 0.25 : 0;
    tint(out, ink, 1);
    if (kind === 0) {
      const bar = Math.floor(u * bars);
      const within = u * bars - bar;
      const tall = 0.12 + 0.8 * Math.abs((noise(bar * 2.3 + 0.5, 0.5, seed) * 1.5) % 1);
      if (v > 0.03 && v < tall && within > 0.2 && within < 0.82) {
        blend(out, bar % 2 === 0 ? accent : second, ink, 0);
        opacity = 0.95;
      }
    } else {
      for (let line = 0; line < 2; line++) {
        const slope = (curve(u + 0.01, line * 3 + 0.5) - curve(u - 0.01, line * 3 + 0.5)) / 0.02;
        const away =
          (Math.abs(v - curve(u, line * 3 + 0.5)) * height) /
          Math.sqrt(1 + slope * slope * (height / width) * (height / width));
        const drawn = coverage(away - 0.0024, canvas.pixel);
        if (drawn > opacity) {
          blend(out, line === 0 ? accent : second, ink, 0);
          opacity = drawn;
        }
      }
    }
    return opacity;
  });
}

function paintDesk(canvas: Canvas, random: Random): void {
  const seed = random.nextUint32();
  const [dark, pale] = pick(random, [
    [hex(0x3a2416), hex(0x8a5c36)],
    [hex(0x5a4630), hex(0xb8926a)],
    [hex(0x2a2c30), hex(0x4a4e55)],
    [hex(0x2f3f38), hex(0x5f786a)],
  ]);
  const wood = random.nextUniform() < 0.7;
  const octaves = octavesFor(20, canvas.pixel, 5);
  paint(canvas, (x, y, out) => {
    const bend = noise(x * 1.5, y * 1.2, seed);
    const ring = (y * 1.4 + 0.25 * bend) * 9;
    const grain = wood ? ring - Math.floor(ring) : 0.5 + fractal(x * 30, y * 30, octaves, seed) * 0.6;
    const fiber = wood ? noise(x * 6, y * 160, seed + 2) * 0.3 : 0;
    blend(out, pale, dark, clamp(grain * 0.6 + fiber + 0.2));
    return 1;
  });
}

function paintStain(canvas: Canvas, random: Random, width: number, place: Place): void {
  const [x0, y0] = place(between(random, 0.1, 0.9) * width, between(random, 0.2, 0.9));
  const radius = between(random, 0.06, 0.1);
  const seed = random.nextUint32();
  paint(
    canvas,
    (x, y, out) => {
      const d = Math.sqrt((x - x0) * (x - x0) + (y - y0) * (y - y0));
      const rough = 0.004 * fractal(x * 30, y * 30, 3, seed);
      const ring = smoothstep(0.006, 0.001, Math.abs(d - radius + rough)) * (0.5 + noise(x * 14, y * 14, seed + 4));
      out[0] = 0.3;
      out[1] = 0.17;
      out[2] = 0.07;
      return clamp(ring * 0.5 + 0.1 * smoothstep(radius, radius - 0.01, d));
    },
    { left: x0 - radius * 1.2, right: x0 + radius * 1.2, top: y0 - radius * 1.2, bottom: y0 + radius * 1.2 },
  );
}

/** A lamp from one side, and the soft shadow of something out of view. */
function paintLight(canvas: Canvas, random: Random): void {
  const angle = between(random, -1, 1);
  const seed = random.nextUint32();
  const at = between(random, 0.55, 1.1);
  paint(canvas, (x, y, out) => {
    const along = x / canvas.aspect + angle * y;
    const bar = smoothstep(at, at + 0.12, along + 0.15 * noise(y * 2, 0, seed));
    out[0] = 0.02;
    out[1] = 0.025;
    out[2] = 0.05;
    return clamp(0.34 * bar + 0.12 * clamp(along * 0.7));
  });
}

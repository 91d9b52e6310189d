/**
 * An invented alphabet: letters of a few strokes, words of likely letters, set in lines as a typesetter would.
 */
import type { Random } from "@dcae/core/graph";
import { type Canvas, type Color, paint } from "./canvas.js";
import { coverage, segmentDistance } from "./shading.js";

/** Strokes of a letter in a box of width 1; 0 is the baseline, 1 the height of small letters. */
export interface Glyph {
  readonly strokes: readonly (readonly [ax: number, ay: number, bx: number, by: number])[];
  /** Width in heights of small letters. */
  readonly width: number;
}

export type Alphabet = readonly Glyph[];

/** Corners of strokes: left, middle, right by bottom, half, top. */
function corner(random: Random): readonly [number, number] {
  return [random.nextInteger(3) / 2, random.nextInteger(3) / 2];
}

/** `count` letters. The first ones are the most frequent in text. */
export function createAlphabet(random: Random, count = 24): Alphabet {
  return Array.from({ length: count }, (_, index) => {
    const strokes: [number, number, number, number][] = [];
    // A stem holds most letters together; some reach above or below the line.
    const reach = index % 4 === 1 ? 1.55 : 1;
    const drop = index % 5 === 3 ? -0.45 : 0;
    const stem = random.nextInteger(4);
    if (stem < 2) strokes.push([stem, drop, stem, reach]);
    const wanted = 2 + random.nextInteger(2) + (stem < 2 ? 0 : 1);
    let [x, y] = corner(random);
    for (let tries = 0; strokes.length < wanted && tries < 20; tries++) {
      const [nextX, nextY] = corner(random);
      const longest = Math.max(Math.abs(nextX - x), Math.abs(nextY - y));
      if (longest === 0) continue;
      strokes.push([x, y, nextX, nextY]);
      [x, y] = [nextX, nextY];
    }
    return { strokes, width: 0.45 + 0.12 * random.nextInteger(4) };
  });
}

export interface TextBlock {
  readonly left: number;
  readonly right: number;
  /** Baseline of the first line. */
  readonly top: number;
  readonly lines: number;
  /** Height of small letters. */
  readonly size: number;
  /** Distance between baselines, in heights. */
  readonly leading: number;
  /** Stroke width, in heights. */
  readonly weight: number;
  readonly ink: Color;
  /** Part of the last line that is filled, 0 to 1. */
  readonly last: number;
}

/** Maps page coordinates to the canvas. */
export type Place = (x: number, y: number) => readonly [x: number, y: number];

/** Sets a block of text. */
export function paintText(canvas: Canvas, random: Random, alphabet: Alphabet, block: TextBlock, place: Place): void {
  for (let line = 0; line < block.lines; line++) {
    const end = line === block.lines - 1 ? block.left + (block.right - block.left) * block.last : block.right;
    const baseline = block.top + line * block.leading * block.size;
    let x = block.left;
    while (x < end) {
      const letters = 1 + Math.floor(random.nextUniform() * random.nextUniform() * 11);
      for (let i = 0; i < letters && x < end; i++) {
        // Squaring makes the first letters of the alphabet frequent.
        const rank = random.nextUniform();
        const glyph = alphabet[Math.floor(rank * rank * alphabet.length)] as Glyph;
        paintGlyph(canvas, glyph, x, baseline, block, place);
        x += (glyph.width + 0.34) * block.size;
      }
      x += 0.55 * block.size;
    }
  }
}

function paintGlyph(canvas: Canvas, glyph: Glyph, x: number, baseline: number, block: TextBlock, place: Place): void {
  const { size, ink } = block;
  // Thin strokes of small type keep their grey value: at least half a pixel wide.
  const half = Math.max((block.weight * size) / 2, canvas.pixel * 0.3);
  const strokes = glyph.strokes.map(([ax, ay, bx, by]) => [
    ...place(x + ax * glyph.width * size, baseline - ay * size),
    ...place(x + bx * glyph.width * size, baseline - by * size),
  ]) as [number, number, number, number][];
  const margin = half + canvas.pixel;
  let [left, top, right, bottom] = [9, 9, -9, -9];
  for (const [ax, ay, bx, by] of strokes) {
    left = Math.min(left, ax, bx);
    right = Math.max(right, ax, bx);
    top = Math.min(top, ay, by);
    bottom = Math.max(bottom, ay, by);
  }
  paint(
    canvas,
    (px, py, out) => {
      let distance = 9;
      for (const [ax, ay, bx, by] of strokes) distance = Math.min(distance, segmentDistance(px, py, ax, ay, bx, by));
      out[0] = ink[0];
      out[1] = ink[1];
      out[2] = ink[2];
      return coverage(distance - half, canvas.pixel) * 0.93;
    },
    { left: left - margin, top: top - margin, right: right + margin, bottom: bottom + margin },
  );
}

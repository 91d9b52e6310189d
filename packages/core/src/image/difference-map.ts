/**
 * Where two pictures differ, as a heat map: black is equal, then violet, red, orange, yellow, white.
 */
import { ShapeError } from "../errors.js";
import { createImage, type Image, type Rgb } from "./image.js";

/** Colors at equal distances, of steadily rising luminance, so that the map reads in grey too. */
const RAMP: readonly Rgb[] = [
  [0, 0, 0],
  [58, 12, 96],
  [150, 24, 88],
  [226, 76, 36],
  [252, 176, 36],
  [255, 255, 220],
];

const COLORS = Uint8Array.from({ length: 256 * 3 }, (_, i) => {
  const position = (Math.floor(i / 3) / 255) * (RAMP.length - 1);
  const low = Math.min(Math.floor(position), RAMP.length - 2);
  const from = (RAMP[low] as Rgb)[i % 3] as number;
  const to = (RAMP[low + 1] as Rgb)[i % 3] as number;
  return Math.round(from + (to - from) * (position - low));
});

/**
 * A heat map of the largest channel difference of each pixel, times `gain`.
 *
 * @param gain differences of 255 / gain or more are white; 4 by default, which makes a difference of 64 white
 * @throws ShapeError when sizes differ
 */
export function differenceMap(a: Image, b: Image, gain = 4): Image {
  if (a.width !== b.width || a.height !== b.height) {
    throw new ShapeError(`differenceMap: sizes differ: ${a.width}x${a.height} and ${b.width}x${b.height}`);
  }
  const map = createImage(a.width, a.height);
  for (let i = 0; i < map.data.length; i += 3) {
    let largest = 0;
    for (let c = i; c < i + 3; c++) {
      largest = Math.max(largest, Math.abs((a.data[c] as number) - (b.data[c] as number)));
    }
    const level = Math.min(Math.round(largest * gain), 255) * 3;
    map.data[i] = COLORS[level] as number;
    map.data[i + 1] = COLORS[level + 1] as number;
    map.data[i + 2] = COLORS[level + 2] as number;
  }
  return map;
}

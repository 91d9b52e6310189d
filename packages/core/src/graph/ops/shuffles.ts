/**
 * Pixel shuffles in the forms that move the least memory on a CPU, for static shapes.
 *
 * A runtime transposes six axes element by element on one core. Two transposes of four axes each, one that swaps two
 * neighboring axes and one that moves whole rows, run several times as fast.
 */
import type { Value } from "../value.js";
import { reshape, transpose } from "./layout.js";

type Shape4 = readonly [number, number, number, number];

/** [N, C*r, H, W] to [N, C, H*r, W], channel c*r + i to row offset i: moves whole rows. */
function shuffleRows(x: Value, r: number): Value {
  const [batch, channels, height, width] = x.shape as Shape4;
  const rows = transpose(reshape(x, [(batch * channels) / r, r, height, width]), [0, 2, 1, 3]);
  return reshape(rows, [batch, channels / r, height * r, width]);
}

/** The inverse of `shuffleRows`. */
export function unshuffleRows(x: Value, r: number): Value {
  const [batch, channels, height, width] = x.shape as Shape4;
  const rows = transpose(reshape(x, [batch * channels, height / r, r, width]), [0, 2, 1, 3]);
  return reshape(rows, [batch, channels * r, height / r, width]);
}

/** The same as `pixelShuffle(x, r)`. */
export function fastPixelShuffle(x: Value, r: number): Value {
  const [batch, channels, height, width] = x.shape as Shape4;
  const lines = transpose(reshape(x, [(batch * channels) / r, r, height * width]), [0, 2, 1]);
  return shuffleRows(reshape(lines, [batch, channels / r, height, width * r]), r);
}

/** The same as `pixelUnshuffle(x, r)`. */
export function fastPixelUnshuffle(x: Value, r: number): Value {
  const rows = unshuffleRows(x, r);
  const [batch, channels, height, width] = rows.shape as Shape4;
  const lines = transpose(reshape(rows, [batch * channels, (height * width) / r, r]), [0, 2, 1]);
  return reshape(lines, [batch, channels * r, height, width / r]);
}

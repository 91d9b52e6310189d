/**
 * Graph to graph: pixel shuffles and the parameter-free shortcuts in the forms that move the least memory on a CPU.
 *
 * A runtime transposes six axes element by element on one core. Two transposes of four axes each, one that swaps two
 * neighboring axes and one that moves whole rows, run several times as fast. The shortcuts of Residual Autoencoding move
 * still less: channels that a shuffle would put beside each other only to average them (or that were copied in order to be
 * put beside each other) are averaged (copied) where they are.
 */
import { isStaticShape } from "../dim.js";
import { expand, reshape, transpose } from "../ops/layout.js";
import { averagePool2d } from "../ops/linear.js";
import { reduceMean } from "../ops/reduce.js";
import type { Program } from "../program.js";
import type { Value } from "../value.js";
import { rewriteProgram } from "./rebuild.js";

type Shape4 = readonly [number, number, number, number];

/** [N, C*r, H, W] to [N, C, H*r, W], channel c*r + i to row offset i: moves whole rows. */
function shuffleRows(x: Value, r: number): Value {
  const [batch, channels, height, width] = x.shape as Shape4;
  const rows = transpose(reshape(x, [(batch * channels) / r, r, height, width]), [0, 2, 1, 3]);
  return reshape(rows, [batch, channels / r, height * r, width]);
}

/** The inverse of `shuffleRows`. */
function unshuffleRows(x: Value, r: number): Value {
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

/** Mean of runs of `group` consecutive channels of `pixelUnshuffle(x, r)`, where a run covers whole rows of a cell. */
function averageUnshuffled(x: Value, r: number, group: number): Value | undefined {
  if (group % r !== 0) return undefined;
  if (group % (r * r) !== 0) {
    // A run is some rows of a cell: their columns are averaged, and those rows.
    const rows = group / r;
    return r % rows === 0 ? unshuffleRows(averagePool2d(x, [rows, r]), r / rows) : undefined;
  }
  const cells = averagePool2d(x, r);
  const [batch, channels, height, width] = cells.shape as Shape4;
  const merged = group / (r * r);
  if (merged === 1) return cells;
  return reduceMean(reshape(cells, [batch, channels / merged, merged, height, width]), 2);
}

/** The shuffle of channels that are each repeated `times` times, where the copies fill whole rows of a cell. */
function shuffleRepeated(x: Value, times: number, r: number): Value | undefined {
  if (times % r !== 0 || (times < r * r ? (r * r) % times : times % (r * r)) !== 0) return undefined;
  const [batch, channels, height, width] = x.shape as Shape4;
  const copies = Math.max(1, times / (r * r));
  // Each channel fills `rows` rows of a cell; with r rows it fills it alone.
  const rows = Math.min(r, times / r);
  // Copies are made as whole rows: an expansion of the last axis would write element by element.
  const beside = expand(reshape(x, [batch * channels, 1, height * width]), [batch * channels, r, height * width]);
  const lines = reshape(transpose(beside, [0, 2, 1]), [batch * channels, 1, height, 1, width * r]);
  const spread = expand(lines, [batch * channels, copies, height, rows, width * r]);
  const filled = reshape(spread, [batch, channels * copies, height * rows, width * r]);
  if (rows === r) return filled;
  // The rest of the cell's rows are other channels: [C, H, rows, W] of r/rows neighbors interleaved.
  const parts = r / rows;
  const outChannels = channels / parts;
  const interleaved = transpose(reshape(filled, [batch * outChannels, parts, height, rows * width * r]), [0, 2, 1, 3]);
  return reshape(interleaved, [batch, outChannels, height * r, width * r]);
}

/** x and `times` where `value` is x with every channel repeated: reshape(expand(reshape(x))). */
function repeatedChannels(value: Value): { readonly x: Value; readonly times: number } | undefined {
  if (value.op !== "reshape") return undefined;
  const [spread] = value.inputs;
  if (spread.op !== "expand") return undefined;
  const [single] = spread.inputs;
  if (single.op !== "reshape") return undefined;
  const [x] = single.inputs;
  const [batch, channels, height, width] = x.shape as Shape4;
  const times = spread.shape[2];
  if (x.shape.length !== 4 || typeof times !== "number") return undefined;
  const matches =
    single.shape.join() === [batch, channels, 1, height, width].join() &&
    spread.shape.join() === [batch, channels, times, height, width].join() &&
    value.shape.join() === [batch, channels * times, height, width].join();
  return matches ? { x, times } : undefined;
}

/** x, factor and group where `value` is the mean over runs of consecutive channels of an unshuffled x. */
function averagedUnshuffle(
  value: Value,
): { readonly x: Value; readonly r: number; readonly group: number } | undefined {
  if (value.op !== "reduceMean" || value.attributes.axes.join() !== "2" || value.attributes.keepDims) return undefined;
  const [grouped] = value.inputs;
  if (grouped.op !== "reshape" || grouped.shape.length !== 5) return undefined;
  const [unshuffled] = grouped.inputs;
  if (unshuffled.op !== "pixelUnshuffle") return undefined;
  const group = grouped.shape[2] as number;
  const sameRuns = grouped.shape.slice(3).join() === unshuffled.shape.slice(2).join();
  return sameRuns ? { x: unshuffled.inputs[0], r: unshuffled.attributes.factor, group } : undefined;
}

export function simplifyShortcuts(program: Program): Program {
  return rewriteProgram(program, (_value, _inputs, keep) => {
    const value = keep();
    if (!isStaticShape(value.shape)) return value;
    if (value.op === "pixelShuffle") {
      const repeated = repeatedChannels(value.inputs[0]);
      return (repeated && shuffleRepeated(repeated.x, repeated.times, value.attributes.factor)) ?? value;
    }
    const averaged = averagedUnshuffle(value);
    return (averaged && averageUnshuffled(averaged.x, averaged.r, averaged.group)) ?? value;
  });
}

export function fastShuffles(program: Program): Program {
  return rewriteProgram(program, (_value, _inputs, keep) => {
    const value = keep();
    if (!isStaticShape(value.shape)) return value;
    if (value.op === "pixelShuffle") return fastPixelShuffle(value.inputs[0], value.attributes.factor);
    if (value.op === "pixelUnshuffle") return fastPixelUnshuffle(value.inputs[0], value.attributes.factor);
    return value;
  });
}

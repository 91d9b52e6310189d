/**
 * Graph to graph: nearest-neighbor upsampling by 2 followed by a 3x3 convolution becomes four 2x2 convolutions of the small
 * picture, one per position in a 2x2 cell, and a pixel shuffle.
 *
 * The three rows that a convolution sees in an upsampled picture are two rows of the small one: at even positions
 * y-1, y, y, at odd ones y, y, y+1. Taps that meet the same pixel are added once, as a constant expression of the weight.
 * 16 products per small pixel instead of 36, exact up to rounding, and the large picture never exists.
 */
import type { Dim } from "../dim.js";
import { mapProgram } from "../map-graph.js";
import { concat, pixelShuffle, reshape } from "../ops/layout.js";
import { constant } from "../ops/leaves.js";
import { conv2d, matmul } from "../ops/linear.js";
import type { Program } from "../program.js";
import { Tensor } from "../tensor.js";
import type { Value } from "../value.js";
import { isUpsampled } from "./winograd.js";
import { kronecker, type Matrix } from "./winograd-matrices.js";

/** Two taps from three, at even and at odd positions. */
const MERGED: readonly [Matrix, Matrix] = [
  [
    [1, 0, 0],
    [0, 1, 1],
  ],
  [
    [1, 1, 0],
    [0, 0, 1],
  ],
];

function phaseWeight(weight: Value, i: 0 | 1, j: 0 | 1): Value {
  const [outChannels, inChannels] = weight.shape as readonly [number, number];
  const merge = kronecker(MERGED[i], MERGED[j]);
  // Merging is linear over the 9 taps: [O*C, 9] x [9, 4].
  const columns = Tensor.float32(merge.flat(), [4, 9]).transpose();
  const taps = matmul(reshape(weight, [outChannels * inChannels, 9]), constant(columns));
  return reshape(taps, [outChannels, inChannels, 2, 2]);
}

/** `conv2d(upsampleNearest2d(x, 2), weight, { bias, padding: 1 })`. */
export function upsampleConv2d(x: Value, weight: Value, bias?: Value): Value {
  const [batch, , height, width] = x.shape as readonly [Dim, Dim, Dim, Dim];
  const outChannels = weight.shape[0] as number;
  const phase = (i: 0 | 1, j: 0 | 1) => {
    const padding = { top: 1 - i, bottom: i, left: 1 - j, right: j };
    return reshape(conv2d(x, phaseWeight(weight, i, j), { bias, padding }), [batch, outChannels, 1, height, width]);
  };
  const cells = concat([phase(0, 0), phase(0, 1), phase(1, 0), phase(1, 1)], 2);
  return pixelShuffle(reshape(cells, [batch, 4 * outChannels, height, width]), 2);
}

/** Replaces every such pair of the program. */
export function splitUpsampling(program: Program): Program {
  return mapProgram(program, (value, inputs, keep) => {
    const [x, weight, bias] = inputs as readonly [Value, Value, Value?];
    if (value.op !== "conv2d" || value.dtype !== "float32") return keep();
    const { stride, dilation, groups, padding } = value.attributes;
    const [kernelHeight, kernelWidth] = weight.shape.slice(2);
    const plain = groups === 1 && [...stride, ...dilation].every((step) => step === 1);
    if (!plain || kernelHeight !== 3 || kernelWidth !== 3 || !isUpsampled(x, padding)) return keep();
    return upsampleConv2d(x.inputs[0] as Value, weight, bias);
  });
}

/**
 * All rewrites for inference on a CPU. Each gives the same function of the inputs up to rounding.
 *
 * `foldAffine` comes before convolutions take another form, so that they take their batch norm along. `inferenceWinograd` also
 * takes in an upsampling in front of a convolution; what it leaves, `splitUpsampling` turns into convolutions of the small
 * picture, with a shuffle that `fastShuffles` finds.
 *
 * Programs that update state are left alone: their weights change with every run, so that transforming them once is wrong.
 */

import { analyze } from "../analyze.js";
import { compositeRow, maker } from "../composites/composite.js";
import { type Dim, isStaticShape } from "../dim.js";
import { mapProgram } from "../map-graph.js";
import { add, constant, mul, neg } from "../ops/elementwise.js";
import { concat, expand, fastPixelShuffle, fastPixelUnshuffle, pixelShuffle, reshape } from "../ops/layout.js";
import { conv2d, matmul } from "../ops/linear.js";
import type { Program } from "../program.js";
import { sizeOf, Tensor } from "../tensor.js";
import type { Value, ValueOf } from "../value.js";
import { inferenceWinograd } from "./channels-last.js";
import { chooseWinograd } from "./cpu-costs.js";
import { type ChooseWinograd, isUpsampled } from "./winograd.js";
import { kronecker, type Matrix } from "./winograd-matrices.js";

/** Options of `optimize`. */
export interface OptimizeOptions {
  /** Which convolutions take Winograd's form (default: `chooseWinograd`, a measured model of costs). */
  readonly chooseWinograd?: ChooseWinograd | undefined;
}

/**
 * Rewrites a program into a form that is faster on a CPU and computes the same, up to rounding. Programs that update state stay as
 * they are.
 */
export function optimize(program: Program, options: OptimizeOptions = {}): Program {
  if (program.updates.size > 0) return program;
  const choose = options.chooseWinograd ?? chooseWinograd;
  const passes: readonly ((program: Program) => Program)[] = [
    foldAffine,
    cpuComposites,
    (current) => inferenceWinograd(current, choose),
    splitUpsampling,
    fastShuffles,
  ];
  return passes.reduce((current, pass) => pass(current), program);
}

// Graph to graph: every composite in the form that is fastest on a CPU.
//
// Composites that nobody asks for by name later give way to their bodies, so that what rewrites ops sees all there are.

/** Puts every composite into the form that is fastest on a CPU, or takes it apart. */
export function cpuComposites(program: Program): Program {
  return mapProgram(program, (value, inputs, keep, inline) => {
    if (value.op !== "composite") return keep();
    const row = compositeRow(value);
    const form = row.cpu?.(value as never, inputs as never, maker(value) as never);
    return form ?? (row.cpu === undefined && (row.channelsLast ?? row.gradient ?? row.lower) ? keep() : inline());
  });
}

/** Pixel shuffles of fixed size as transposes that ONNX Runtime runs faster. */
export function fastShuffles(program: Program): Program {
  return mapProgram(program, (_value, _inputs, keep) => {
    const value = keep();
    if (!isStaticShape(value.shape)) return value;
    if (value.op === "pixelShuffle") return fastPixelShuffle(value.inputs[0], value.attributes.factor);
    if (value.op === "pixelUnshuffle") return fastPixelUnshuffle(value.inputs[0], value.attributes.factor);
    return value;
  });
}

// Graph to graph: a constant scale or shift per channel behind a convolution (batch normalization at inference, a bias)
// becomes part of its weight and bias, as constant expressions.
//
// The runtime folds these behind direct convolutions itself; here it happens before a convolution takes another form.

/** [C] or a single number from a shape that broadcasts over [N, C, H, W] per channel; undefined for any other. */
function perChannel(value: Value, channels: number): Value | undefined {
  if (!isStaticShape(value.shape)) return undefined;
  const [height = 1, width = 1] = [value.shape.at(-2), value.shape.at(-1)];
  const size = sizeOf(value.shape);
  if (size === 1) return reshape(value, [1]);
  const fits = value.shape.length >= 3 && value.shape.length <= 4 && value.shape.at(-3) === channels;
  return fits && size === channels && height === 1 && width === 1 ? reshape(value, [channels]) : undefined;
}

function fold(op: "add" | "sub" | "mul", conv: ValueOf<"conv2d">, amount: Value): Value {
  const [x, weight, bias] = conv.inputs;
  const channels = weight.shape[0] as number;
  const { stride, padding, dilation, groups } = conv.attributes;
  const options = { stride, padding, dilation, groups };
  if (op === "mul") {
    const scale = reshape(amount, [amount.shape[0] as number, 1, 1, 1]);
    return conv2d(x, mul(weight, scale), { ...options, bias: bias && mul(bias, amount) });
  }
  const shift = op === "sub" ? neg(amount) : amount;
  return conv2d(x, weight, { ...options, bias: bias ? add(bias, shift) : expand(shift, [channels]) });
}

export function foldAffine(program: Program): Program {
  const { isConstant, uses } = analyze(program);
  return mapProgram(program, (value, inputs, keep) => {
    if (value.op !== "mul" && value.op !== "add" && value.op !== "sub") return keep();
    // The convolution may itself be the result of a fold. Where something else uses its output it must stay.
    const at = inputs.findIndex((input, i) => input.op === "conv2d" && uses(value.inputs[i] as Value) === 1);
    const [conv, other] = [inputs[at], inputs[1 - at]];
    if (conv?.op !== "conv2d" || other === undefined || !isConstant(value.inputs[1 - at] as Value)) return keep();
    if (value.op === "sub" && at === 1) return keep();
    const amount = perChannel(other, conv.shape[1] as number);
    return amount === undefined ? keep() : fold(value.op, conv, amount);
  });
}

// Graph to graph: nearest-neighbor upsampling by 2 followed by a 3x3 convolution becomes four 2x2 convolutions of the small
// picture, one per position in a 2x2 cell, and a pixel shuffle.
//
// The three rows that a convolution sees in an upsampled picture are two rows of the small one: at even positions
// y-1, y, y, at odd ones y, y, y+1. Taps that meet the same pixel are added once, as a constant expression of the weight.
// 16 products per small pixel instead of 36, exact up to rounding, and the large picture never exists.

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
function upsampleConv2d(x: Value, weight: Value, bias?: Value): Value {
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

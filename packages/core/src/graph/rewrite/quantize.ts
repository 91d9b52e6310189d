/**
 * The form in which programs compute with numbers of 8 bits, for inference on a CPU.
 *
 * What is known from ranges must not depend on the form that a program takes elsewhere, so the passes that decide what is a
 * convolution come first, and both the observed and the quantized program start from their result: `foldAffine` (a batch norm is
 * part of the convolution in front of it) and `splitUpsampling` (an upsampling and its convolution are four convolutions that
 * share a weight).
 *
 * Behind the quantization, composites and shuffles take their forms for a CPU. Winograd's form isn't for 8 bits: its transforms
 * lose two to three of them.
 */
import { ConfigError } from "../../errors.js";
import { type Analysis, analyze, topologicalOrder } from "../analyze.js";
import { mapProgram } from "../map-graph.js";
import { abs, add, cast, constant, div, maximum, mul, neg, reduceMax, scalar, sign } from "../ops/elementwise.js";
import { concat, reshape } from "../ops/layout.js";
import { dequantizeLinear, qlinearConv2d, quantizeLinear } from "../ops/linear.js";
import { createProgram, type Program } from "../program.js";
import { Tensor } from "../tensor.js";
import type { QuantizationGrid, Value, ValueOf } from "../value.js";
import { cpuComposites, fastShuffles, foldAffine, splitUpsampling } from "./optimize.js";

/** The program whose convolutions are observed and quantized. */
export function beforeQuantization(program: Program): Program {
  return splitUpsampling(foldAffine(program));
}

/**
 * @param ranges of the program's convolutions (`calibrate`); those that they don't name stay in float32
 * @throws ConfigError when they name none: they are another model's
 */
/**
 * The 8-bit form of a program: static quantization of the convolutions whose ranges are given.
 *
 * @param inParts whether the program may be a part of a model that has none of these convolutions
 * @throws ConfigError when the ranges name no convolution of it
 */
export function toInt8(program: Program, ranges: ActivationRanges, inParts = false): Program {
  const quantized = quantizeConvolutions(beforeQuantization(program), ranges);
  const isQuantized = topologicalOrder([...quantized.outputs.values()]).some(({ op }) => op === "qlinearConv2d");
  if (!isQuantized && !inParts) {
    throw new ConfigError(`ranges: they name no convolution of "${program.name}"`, {
      hint: "Give those that were observed on this model, encoder and decoder.",
    });
  }
  return fastShuffles(cpuComposites(quantized));
}

// Graph to graph: convolutions compute with numbers of 8 bits.
//
// Post-training static quantization: weights as int8 with one scale per output channel (symmetric), inputs and outputs of each
// convolution as uint8 with one scale and zero point per tensor, from ranges that were observed on a few pictures
// (`withRanges`). Sums are taken in 32-bit integers. Everything between convolutions stays in float32: norms, attention,
// activations, and the residual sum, whose errors would add up over the blocks.

/** Smallest and largest value that a tensor took. */
export type Range = readonly [low: number, high: number];

/** What a convolution took and gave. */
export interface ConvRanges {
  readonly input: Range;
  readonly output: Range;
}

/** By the name of the convolution's weight. Plain data: it can be kept as JSON. */
export type ActivationRanges = Readonly<Record<string, ConvRanges>>;

const LEVELS = 255;
/** Symmetric, so that the weight's zero point is 0. */
const WEIGHT_LEVELS = 127;
/** Far below any value that matters, and above what float32 loses. */
const LEAST_SCALE = 2 ** -100;
/** Half of the range of int32, so that sums fit beside a bias. */
const MOST_BIAS_STEPS = 2 ** 30;
/** Fewer channels don't fill the kernels' registers, and are where pictures enter and leave. */
const MIN_CHANNELS = 16;

/** The grid of uint8 that covers a range; it holds 0 exactly, which is what padding adds. */
export function gridOf([low, high]: Range): QuantizationGrid {
  const [from, to] = [Math.min(0, low), Math.max(0, high)];
  const scale = Math.fround(Math.max((to - from) / LEVELS, LEAST_SCALE));
  return { scale, zeroPoint: Math.round(-from / scale) };
}

/** The name by which a convolution that can be quantized is known. Convolutions that share a weight share it. */
function quantizableName(value: Value, { isConstant }: Analysis): string | undefined {
  if (value.op !== "conv2d" || value.dtype !== "float32") return undefined;
  const [x, weight, bias] = value.inputs;
  const [outChannels, inChannels] = weight.shape as readonly [number, number];
  if (!isConstant(weight) || isConstant(x) || (bias !== undefined && !isConstant(bias))) return undefined;
  if (value.attributes.groups !== 1 || Math.min(outChannels, inChannels) < MIN_CHANNELS) return undefined;
  for (const leaf of topologicalOrder([weight])) if (leaf.op === "parameter") return leaf.attributes.name;
  return undefined;
}

/** Nearest integers as int32, halves away from zero. */
const toIntegers = (x: Value) => cast(add(x, mul(sign(x), 0.5)), "int32");

function quantizedConv(conv: ValueOf<"conv2d">, ranges: ConvRanges): Value {
  const [x, weight, bias] = conv.inputs;
  const [input, output] = [gridOf(ranges.input), gridOf(ranges.output)];
  const channels = weight.shape[0] as number;
  const largest = reshape(reduceMax(abs(weight), [1, 2, 3]), [channels]);
  // A filter of zeros has a scale too, and the steps of a bias are never so small that it leaves the range of int32.
  const least =
    bias === undefined
      ? scalar(LEAST_SCALE)
      : maximum(mul(abs(bias), 1 / (MOST_BIAS_STEPS * input.scale)), LEAST_SCALE);
  const weightScale = maximum(mul(largest, 1 / WEIGHT_LEVELS), least);
  const quantized = qlinearConv2d(
    quantizeLinear(x, scalar(input.scale), { zeroPoint: input.zeroPoint }),
    quantizeLinear(weight, weightScale, { axis: 0, dtype: "int8" }),
    weightScale,
    { ...conv.attributes, input, output, bias: bias && toIntegers(div(bias, mul(weightScale, input.scale))) },
  );
  return dequantizeLinear(quantized, scalar(output.scale), { zeroPoint: output.zeroPoint });
}

/** @param ranges of the convolutions to quantize; others stay as they are */
/** Puts the convolutions that have ranges into 8 bits, with float32 around them. */
export function quantizeConvolutions(program: Program, ranges: ActivationRanges): Program {
  const facts = analyze(program);
  return mapProgram(program, (value, _inputs, keep) => {
    const name = quantizableName(value, facts);
    const kept = keep();
    if (name === undefined || !Object.hasOwn(ranges, name)) return kept;
    return quantizedConv(kept as ValueOf<"conv2d">, ranges[name] as ConvRanges);
  });
}

/** The output that `withRanges` adds: [convolutions, 4], lows negated; without convolutions it has no rows. */
export const RANGES_OUTPUT = "ranges";

/**
 * The convolutions in the order of the rows, the last one first: the runtime computes what was written down last as early as it
 * can, so that each value is observed while it is there. In the other order, all of them stay in memory until the end.
 */
function observed(program: Program): { readonly name: string; readonly conv: Value }[] {
  const facts = analyze(program);
  const order = topologicalOrder([...program.outputs.values()]).reverse();
  return order.flatMap((conv) => {
    const name = quantizableName(conv, facts);
    return name === undefined ? [] : [{ name, conv }];
  });
}

/**
 * The program with one more output: the smallest and largest value that each convolution takes and gives, for calibration.
 */
export function withRanges(program: Program): Program {
  const rows = observed(program).map(({ conv }) => {
    const [x] = conv.inputs as readonly [Value];
    return reshape(
      concat(
        [x, conv].flatMap((v) => [neg(v), v]).map((v) => reshape(reduceMax(v), [1])),
        0,
      ),
      [1, 4],
    );
  });
  const ranges = rows.length === 0 ? constant(Tensor.zeros([0, 4])) : concat(rows, 0);
  return createProgram(program.name, { ...Object.fromEntries(program.outputs), [RANGES_OUTPUT]: ranges });
}

/** The smallest range that holds both. */
const joined = (a: Range, b: Range): Range => [Math.min(a[0], b[0]), Math.max(a[1], b[1])];

/** Adds what one run observed. @param ranges the output that `withRanges(program)` has under `RANGES_OUTPUT` */
export function mergeRanges(known: ActivationRanges, program: Program, ranges: Tensor): ActivationRanges {
  const values = ranges.toFloat32();
  const merged: Record<string, ConvRanges> = { ...known };
  observed(program).forEach(({ name }, row) => {
    const [inLow, inHigh, outLow, outHigh] = values.subarray(4 * row, 4 * row + 4) as unknown as readonly [
      number,
      number,
      number,
      number,
    ];
    const [input, output]: readonly [Range, Range] = [
      [-inLow, inHigh],
      [-outLow, outHigh],
    ];
    const before = merged[name];
    merged[name] =
      before === undefined
        ? { input, output }
        : { input: joined(before.input, input), output: joined(before.output, output) };
  });
  return merged;
}

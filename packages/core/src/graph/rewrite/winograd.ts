/** Graph to graph: 3x3 convolutions with stride 1 become Winograd's minimal filtering where that is faster. */

import { type Analysis, analyze } from "../analyze.js";
import { isStaticShape } from "../dim.js";
import { mapProgram } from "../map-graph.js";
import type { Program } from "../program.js";
import type { Padding2d, Value } from "../value.js";
import { winogradConv2d } from "./winograd-conv.js";
import type { WinogradTile } from "./winograd-matrices.js";

/** What a cost rule may look at. */
export interface ConvSize {
  readonly batch: number;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly outHeight: number;
  readonly outWidth: number;
}

/**
 * The tile to use, or undefined where the direct convolution is faster.
 *
 * @param weight of the convolution, for rules that ask whether it stays what it is
 */
export type ChooseWinograd = (size: ConvSize, weight: Value) => WinogradTile | undefined;

/** The convolution's size if it has a Winograd form: 3x3, stride 1, one group, float32, static shape, constant weight. */
export function winogradSize(value: Value, { isConstant }: Analysis): ConvSize | undefined {
  if (value.op !== "conv2d" || value.dtype !== "float32") return undefined;
  const [x, weight] = value.inputs;
  const { stride, dilation, groups } = value.attributes;
  const [outChannels, inChannels, kernelHeight, kernelWidth] = weight.shape as readonly number[];
  if (kernelHeight !== 3 || kernelWidth !== 3 || groups !== 1) return undefined;
  if (![...stride, ...dilation].every((step) => step === 1)) return undefined;
  if (!isStaticShape(x.shape) || !isConstant(weight)) return undefined;
  const [batch, , outHeight, outWidth] = value.shape as readonly number[];
  return { batch, inChannels, outChannels, outHeight, outWidth } as ConvSize;
}

export function toWinograd(program: Program, choose: ChooseWinograd): Program {
  const facts = analyze(program);
  return mapProgram(program, (value, inputs, keep) => {
    const size = winogradSize(value, facts);
    if (size === undefined || value.op !== "conv2d") return keep();
    const tile = choose(size, value.inputs[1]);
    if (tile === undefined) return keep();
    const [x, weight, bias] = inputs as readonly [Value, Value, Value?];
    const { padding } = value.attributes;
    const upsampled = isUpsampled(x, padding);
    const source = upsampled ? (x.inputs[0] as Value) : x;
    return winogradConv2d(source, weight, { tile, bias, padding, upsampled });
  });
}

/** Whether x is upsampled by 2 in front of a convolution with padding 1: the upsampling can be part of the convolution. */
export function isUpsampled(x: Value, { top, left, bottom, right }: Padding2d): boolean {
  const ones = top === 1 && left === 1 && bottom === 1 && right === 1;
  return x.op === "upsampleNearest2d" && x.attributes.factor === 2 && ones;
}

/** The blocks of stages: residual ones (dcae.md 2.1), with channel attention (2.7), EfficientViT (2.6) with its linear attention (2.4) and gated convolution (2.5). */

import { type Dim, shapeSize, staticShape } from "../graph/dim.js";
import { linearAttention, silu } from "../graph/ops/composites.js";
import { add, mul, reduceMean, sigmoid } from "../graph/ops/elementwise.js";
import { concat, reshape, split, transpose } from "../graph/ops/layout.js";
import type { Scope } from "../graph/scope.js";
import type { Value } from "../graph/value.js";
import type { ActName, BlockSpec, NormName } from "./block-spec.js";
import { activation, conv, convLayer, norm } from "./layers.js";

/** Options that every block of a stage has. */
export interface StageBlockOptions extends BlockOptions {
  /** Channels per attention head. */
  readonly headDim: number;
}

type Builders = {
  readonly [T in BlockSpec["type"]]: (
    scope: Scope,
    x: Value,
    options: StageBlockOptions & Extract<BlockSpec, { readonly type: T }>,
  ) => Value;
};

const builders: Builders = {
  ResBlock: resBlock,
  EViTGLU: efficientVitBlock,
  EViTNormQKGLU: (scope, x, options) => efficientVitBlock(scope, x, { ...options, normQk: true }),
  GLUResBlock: gluResBlock,
  ChannelAttentionResBlock: channelAttentionResBlock,
  GLUMBConv: (scope, x, options) => add(gluMbConv(scope.at("main"), x, options), x),
};

/** Block `spec` of x [N, C, H, W], with the stage's norm and act. */
export function stageBlock(scope: Scope, x: Value, spec: BlockSpec, options: StageBlockOptions): Value {
  // The row of `spec.type` takes exactly that spec; TypeScript can't correlate the two.
  const builder = builders[spec.type] as (scope: Scope, x: Value, options: StageBlockOptions & BlockSpec) => Value;
  return builder(scope, x, { ...options, ...spec });
}

/** Norm and activation of a block. */
export interface BlockOptions {
  readonly norm: NormName | null;
  readonly act: ActName | null;
}

/**
 * x + norm(conv2(act(conv1(x)))): conv1 with bias, conv2 without.
 *
 * @example
 * ```ts
 * import { resBlock } from "@dcae/core/blocks";
 * import { createProgram, createScope, input } from "@dcae/core/graph";
 *
 * const x = input("x", [1, 64, 16, 16], "float32");
 * const y = resBlock(createScope().at("block"), x, { norm: "rms2d", act: "silu" });
 * console.log([...createProgram("block", { y }).parameters.keys()]); // block.conv1.conv.weight, ...
 * ```
 */
export function resBlock(scope: Scope, x: Value, { norm, act }: BlockOptions): Value {
  const main = scope.at("main");
  const outChannels = x.shape[1] as number;
  const hidden = convLayer(main.at("conv1"), x, { outChannels, act });
  return add(convLayer(main.at("conv2"), hidden, { outChannels, bias: false, norm }), x);
}

/** ResBlock whose first convolution is multiplied by an activated gate convolution. */
export function gluResBlock(scope: Scope, x: Value, options: BlockOptions & { readonly gateKernel: number }): Value {
  const main = scope.at("main");
  const outChannels = x.shape[1] as number;
  const gate = convLayer(main.at("conv_gate"), x, { outChannels, kernel: options.gateKernel, act: options.act });
  const hidden = mul(convLayer(main.at("conv1"), x, { outChannels }), gate);
  return add(convLayer(main.at("conv2"), hidden, { outChannels, bias: false, norm: options.norm }), x);
}

/** Options of the residual blocks with channel attention (DC-AE 1.1 and 1.5). */
export interface ChannelAttentionOptions extends BlockOptions {
  readonly attention: "SEModule" | "CoordAttnModule";
  /** After the first or the second convolution. */
  readonly position: 1 | 2;
}

/** ResBlock with channel attention after one of its convolutions. */
export function channelAttentionResBlock(scope: Scope, x: Value, options: ChannelAttentionOptions): Value {
  const main = scope.at("main");
  const outChannels = x.shape[1] as number;
  const attend = (y: Value, position: 1 | 2) =>
    position === options.position ? channelAttention(main.at("channel_attention"), y, options.attention) : y;
  const hidden = attend(convLayer(main.at("conv1"), x, { outChannels, act: options.act }), 1);
  return add(attend(convLayer(main.at("conv2"), hidden, { outChannels, bias: false, norm: options.norm }), 2), x);
}

/** x scaled by attention over channels, from its spatial means. */
export function channelAttention(scope: Scope, x: Value, kind: "SEModule" | "CoordAttnModule"): Value {
  return kind === "SEModule" ? squeezeExcitation(scope, x) : coordinateAttention(scope, x);
}

function squeezeExcitation(scope: Scope, x: Value): Value {
  const channels = x.shape[1] as number;
  const squeezed = reduceMean(x, [2, 3], { keepDims: true });
  const hidden = silu(conv(scope.at("fc1"), squeezed, { outChannels: Math.floor(channels / 4), kernel: 1 }));
  return mul(x, sigmoid(conv(scope.at("fc2"), hidden, { outChannels: channels, kernel: 1 })));
}

/** Means along the width and along the height share a bottleneck, then scale rows and columns. */
function coordinateAttention(scope: Scope, x: Value): Value {
  const [, channels, height, width] = staticShape(x.shape, "coordinate attention") as readonly [
    Dim,
    number,
    number,
    number,
  ];
  const rows = reduceMean(x, 3, { keepDims: true });
  const columns = transpose(reduceMean(x, 2, { keepDims: true }), [0, 1, 3, 2]);
  const outChannels = Math.max(8, Math.floor(channels / 4));
  const joint = conv(scope.at("conv1"), concat([rows, columns], 2), { outChannels, kernel: 1 });
  const hidden = silu(norm(scope.at("norm"), joint, "trms2d"));
  const [hiddenRows, hiddenColumns] = split(hidden, 2, [height, width]) as [Value, Value];
  const rowScale = sigmoid(conv(scope.at("conv2"), hiddenRows, { outChannels: channels, kernel: 1 }));
  const columnScale = sigmoid(
    conv(scope.at("conv3"), transpose(hiddenColumns, [0, 1, 3, 2]), { outChannels: channels, kernel: 1 }),
  );
  return mul(mul(x, columnScale), rowScale);
}

/** Options of `efficientVitBlock`. */
export interface EfficientVitOptions extends BlockOptions {
  readonly headDim: number;
  readonly scales?: readonly number[];
  readonly normQk?: boolean;
}

/**
 * EfficientViT's block: linear attention over all positions, then a gated depthwise convolution, each with a residual.
 */
export function efficientVitBlock(scope: Scope, x: Value, options: EfficientVitOptions): Value {
  const attended = add(liteMla(scope.at("context_module").at("main"), x, options), x);
  return add(gluMbConv(scope.at("local_module").at("main"), attended, options), attended);
}

/** Protects 0/0 only: it vanishes beside any normal float32 (trap 7 of dcae.md section 12). */
const EPS = 1e-15;

/** Options of `liteMla`. */
export interface LiteMlaOptions {
  /** Channels per head, d. */
  readonly headDim: number;
  /** Odd kernel sizes of the extra scales. */
  readonly scales?: readonly number[];
  /** RMS-normalize queries and keys over all heads first; excludes scales. */
  readonly normQk?: boolean;
  /** Of the output projection. */
  readonly norm: NormName | null;
}

/** Attention over pixels of x [N, C, H, W], C to C. */
export function liteMla(scope: Scope, x: Value, options: LiteMlaOptions): Value {
  const { headDim, scales = [], normQk = false } = options;
  const [batch, channels, height, width] = x.shape as readonly [Dim, number, Dim, Dim];
  const heads = Math.floor(channels / headDim);
  const inner = heads * headDim;
  const base = convLayer(scope.at("qkv"), x, { outChannels: 3 * inner, kernel: 1, bias: false });
  const [q, k, v] = normQk ? normalizedQkv(scope, base, headDim) : multiScaleQkv(scope, base, headDim, scales);
  const merged = reshape(linearAttention(q, k, v, EPS), [batch, inner * (1 + scales.length), height, width]);
  return convLayer(scope.at("proj"), merged, { outChannels: channels, kernel: 1, bias: false, norm: options.norm });
}

type Qkv = readonly [q: Value, k: Value, v: Value];

/** Heads of 3d consecutive channels, q, k and v of one head beside each other; every scale adds as many heads. */
function multiScaleQkv(scope: Scope, base: Value, dim: number, scales: readonly number[]): Qkv {
  const [batch, outChannels, height, width] = base.shape as readonly [Dim, number, Dim, Dim];
  const groups = outChannels / dim;
  const scaled = scales.map((kernel, i) => {
    const aggregation = scope.at("aggreg").at(i);
    const local = conv(aggregation.at(0), base, { outChannels, kernel, groups: outChannels, bias: false });
    return conv(aggregation.at(1), local, { outChannels, kernel: 1, groups, bias: false });
  });
  const heads = (groups / 3) * (1 + scales.length);
  const all = reshape(concat([base, ...scaled], 1), [batch, heads, 3 * dim, shapeSize([height, width])]);
  return split(all, 2, [dim, dim, dim]) as [Value, Value, Value];
}

/** Here q, k and v are thirds of the channels; each is cut into heads after q and k are normalized. */
function normalizedQkv(scope: Scope, base: Value, dim: number): Qkv {
  const [batch, channels, height, width] = base.shape as readonly [Dim, number, Dim, Dim];
  const inner = channels / 3;
  const [q, k, v] = split(base, 1, [inner, inner, inner]) as [Value, Value, Value];
  const toHeads = (value: Value) => reshape(value, [batch, inner / dim, dim, shapeSize([height, width])]);
  return [toHeads(norm(scope.at("norm_q"), q, "trms2d")), toHeads(norm(scope.at("norm_k"), k, "trms2d")), toHeads(v)];
}

/** Options of `gluMbConv`. */
export interface GluMbConvOptions {
  /** Hidden channels relative to the input's (default 4). */
  readonly expansion?: number;
  readonly norm: NormName | null;
  /** Of the expansion and of the gate. */
  readonly act: ActName | null;
}

/** Nearest integer, ties to even, as Python's `round`. */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

/** Expand to twice the hidden width, mix each channel 3x3, gate the first half with the second, project back. */
export function gluMbConv(scope: Scope, x: Value, options: GluMbConvOptions): Value {
  const channels = x.shape[1] as number;
  const hidden = roundHalfEven(channels * (options.expansion ?? 4));
  const expanded = convLayer(scope.at("inverted_conv"), x, { outChannels: 2 * hidden, kernel: 1, act: options.act });
  const mixed = convLayer(scope.at("depth_conv"), expanded, { outChannels: 2 * hidden, groups: 2 * hidden });
  const [value, gate] = split(mixed, 1, [hidden, hidden]) as [Value, Value];
  const gated = mul(value, activation(gate, options.act));
  return convLayer(scope.at("point_conv"), gated, {
    outChannels: channels,
    kernel: 1,
    bias: false,
    norm: options.norm,
  });
}

/** The EfficientViT block (dcae.md 2.6): linear attention with a ReLU kernel (LiteMLA, 2.4), then the gated inverted bottleneck (GLUMBConv, 2.5). */

import { type Dim, shapeSize } from "../graph/dim.js";
import { linearAttention } from "../graph/ops/composites.js";
import { add, mul } from "../graph/ops/elementwise.js";
import { concat, reshape, split } from "../graph/ops/layout.js";
import type { Scope } from "../graph/scope.js";
import type { Value } from "../graph/value.js";
import type { ActName, NormName } from "./block-spec.js";
import { activation, conv, convLayer, norm } from "./layers.js";
import type { BlockOptions } from "./res-block.js";

export interface EfficientVitOptions extends BlockOptions {
  readonly headDim: number;
  readonly scales?: readonly number[];
  readonly normQk?: boolean;
}

export function efficientVitBlock(scope: Scope, x: Value, options: EfficientVitOptions): Value {
  const attended = add(liteMla(scope.at("context_module").at("main"), x, options), x);
  return add(gluMbConv(scope.at("local_module").at("main"), attended, options), attended);
}

/** Protects 0/0 only: it vanishes beside any normal float32 (trap 7 of dcae.md section 12). */
const EPS = 1e-15;

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

/** ResBlock and its relatives (dcae.md 2.1 and 2.7): two convolutions and an identity shortcut. */

import { type Dim, staticShape } from "../graph/dim.js";
import { silu } from "../graph/ops/composites.js";
import { add, mul, reduceMean, sigmoid } from "../graph/ops/elementwise.js";
import { concat, split, transpose } from "../graph/ops/layout.js";
import type { Scope } from "../graph/scope.js";
import type { Value } from "../graph/value.js";
import type { ActName, NormName } from "./block-spec.js";
import { conv, convLayer, norm } from "./layers.js";

export interface BlockOptions {
  readonly norm: NormName | null;
  readonly act: ActName | null;
}

/** x + norm(conv2(act(conv1(x)))): conv1 with bias, conv2 without. */
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

/** ResBlock and its relatives (dcae.md 2.1 and 2.7): two convolutions and an identity shortcut. */
import { add, mul } from "../graph/ops/elementwise.js";
import type { Scope } from "../graph/scope.js";
import type { Value } from "../graph/value.js";
import type { ActName, NormName } from "./block-spec.js";
import { channelAttention } from "./channel-attention.js";
import { convLayer } from "./conv.js";

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

/** GLUMBConv: the gated inverted bottleneck (dcae.md 2.5). */
import { mul } from "../graph/ops/elementwise.js";
import { split } from "../graph/ops/layout.js";
import type { Scope } from "../graph/scope.js";
import type { Value } from "../graph/value.js";
import { activation } from "./activation.js";
import type { ActName, NormName } from "./block-spec.js";
import { convLayer } from "./conv.js";

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

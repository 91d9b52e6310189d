/** Down- and up-sampling by 2 between stages, with the shortcuts of Residual Autoencoding (dcae.md 2.2, 2.3). */
import { shapeError } from "../graph/infer/rule.js";
import { averagingShortcut, duplicatingShortcut } from "../graph/ops/composites.js";
import { add } from "../graph/ops/elementwise.js";
import { pixelShuffle, pixelUnshuffle, upsampleNearest2d } from "../graph/ops/layout.js";
import type { Scope } from "../graph/scope.js";
import type { Value } from "../graph/value.js";
import { conv } from "./conv.js";

export type DownsampleType = "ConvPixelUnshuffle" | "Conv";
export type UpsampleType = "ConvPixelShuffle" | "InterpolateConv";

/** [N, C, H, W] to [N, outChannels, H/2, W/2], without shortcut; parameters `conv.conv.*` or `conv.*`. */
export function downsampleConv(scope: Scope, x: Value, outChannels: number, type: DownsampleType): Value {
  if (type === "Conv") return conv(scope.at("conv"), x, { outChannels, stride: 2 });
  if (outChannels % 4 !== 0) throw shapeError("ConvPixelUnshuffle", [x], `${outChannels} channels don't divide by 4`);
  return pixelUnshuffle(conv(scope.at("conv").at("conv"), x, { outChannels: outChannels / 4 }), 2);
}

/** [N, C, H, W] to [N, outChannels, 2H, 2W], without shortcut; parameters `conv.conv.*`. */
export function upsampleConv(scope: Scope, x: Value, outChannels: number, type: UpsampleType): Value {
  const inner = scope.at("conv").at("conv");
  if (type === "InterpolateConv") return conv(inner, upsampleNearest2d(x, 2), { outChannels });
  return pixelShuffle(conv(inner, x, { outChannels: 4 * outChannels }), 2);
}

/** `downsampleConv` below `main`, plus the averaging shortcut; without shortcut there is no `main`. */
export function downsampleBlock(
  scope: Scope,
  x: Value,
  outChannels: number,
  type: DownsampleType,
  shortcut: "averaging" | null,
): Value {
  if (shortcut === null) return downsampleConv(scope, x, outChannels, type);
  return add(downsampleConv(scope.at("main"), x, outChannels, type), averagingShortcut(x, outChannels, 2));
}

/** `upsampleConv` below `main`, plus the duplicating shortcut; without shortcut there is no `main`. */
export function upsampleBlock(
  scope: Scope,
  x: Value,
  outChannels: number,
  type: UpsampleType,
  shortcut: "duplicating" | null,
): Value {
  if (shortcut === null) return upsampleConv(scope, x, outChannels, type);
  return add(upsampleConv(scope.at("main"), x, outChannels, type), duplicatingShortcut(x, outChannels, 2));
}

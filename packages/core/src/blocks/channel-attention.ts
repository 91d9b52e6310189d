/** Squeeze-and-excitation and coordinate attention (dcae.md 2.7; no published preset uses them). */
import { type Dim, staticShape } from "../graph/dim.js";
import { silu } from "../graph/ops/composites.js";
import { mul, reduceMean, sigmoid } from "../graph/ops/elementwise.js";
import { concat, split, transpose } from "../graph/ops/layout.js";
import type { Scope } from "../graph/scope.js";
import type { Value } from "../graph/value.js";
import { conv } from "./conv.js";
import { norm } from "./norm.js";

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

/**
 * The non-parametric shortcuts of Residual Autoencoding (paper section 3.1; dcae.md 1.2): space-to-channel followed by
 * channel averaging on the way down, channel duplication followed by channel-to-space on the way up.
 */
import type { Dim } from "../graph/dim.js";
import { shapeError } from "../graph/infer/rule.js";
import { pixelShuffle, pixelUnshuffle, repeatInterleave, reshape } from "../graph/ops/layout.js";
import { reduceMean } from "../graph/ops/reduce.js";
import type { Value } from "../graph/value.js";

/**
 * [N, C, H, W] to [N, outChannels, H/factor, W/factor]: unshuffle, then the mean of each run of consecutive channels.
 *
 * @throws ShapeError when C * factor^2 isn't a multiple of outChannels
 */
export function averagingShortcut(x: Value, outChannels: number, factor: number): Value {
  const unshuffled = pixelUnshuffle(x, factor);
  const [batch, channels, height, width] = unshuffled.shape as readonly [Dim, number, Dim, Dim];
  const group = channels / outChannels;
  if (!Number.isInteger(group)) {
    throw shapeError("averagingShortcut", [x], `${channels} unshuffled channels don't average to ${outChannels}`);
  }
  if (group === 1) return unshuffled;
  return reduceMean(reshape(unshuffled, [batch, outChannels, group, height, width]), 2);
}

/**
 * [N, C, H, W] to [N, outChannels, H*factor, W*factor]: every channel repeated consecutively, then shuffled.
 *
 * @throws ShapeError when outChannels * factor^2 isn't a multiple of C
 */
export function duplicatingShortcut(x: Value, outChannels: number, factor: number): Value {
  const times = (outChannels * factor * factor) / (x.shape[1] as number);
  if (!Number.isInteger(times)) {
    throw shapeError("duplicatingShortcut", [x], `the channels don't repeat to ${outChannels * factor * factor}`);
  }
  return pixelShuffle(repeatInterleave(x, 1, times), factor);
}

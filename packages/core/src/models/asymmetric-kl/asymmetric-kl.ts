/**
 * The asymmetric SD-VAE ("Designing a Better Asymmetric VQGAN for StableDiffusion", section 3; diffusers'
 * `AsymmetricAutoencoderKL`) as functions of a scope: an SD-VAE whose decoder is larger than its encoder and, for filling in
 * pictures, takes what is known of the picture besides the latent.
 *
 * A small encoder makes features of the known part at every resolution; where the mask is 0 they stand in for the decoder's own.
 */
import { conv } from "../../blocks/layers.js";
import { add, mul, relu, scalar, sub } from "../../graph/ops/elementwise.js";
import { slice } from "../../graph/ops/layout.js";
import type { Scope } from "../../graph/scope.js";
import type { Value } from "../../graph/value.js";
import type { DecodeCondition } from "../family.js";
import { sdVaeDecode, sdVaeEncode } from "../sd-vae/sd-vae.js";
import { type AsymmetricKlConfig, conditionWidths, halfOf } from "./asymmetric-kl-config.js";

/** Encoder: x [N, C, H, W] in [-1, 1] to moments [N, 2L, H/f, W/f]. */
export function asymmetricKlEncode(scope: Scope, x: Value, config: AsymmetricKlConfig): Value {
  return sdVaeEncode(scope, x, halfOf(config, "encoder"));
}

const BY_ONE = { top: 1, left: 1, bottom: 1, right: 1 } as const;

/**
 * Features of a picture [N, C, H, W], by level and width. Where two have the same shape the later one counts, as in the class, which
 * keeps them by their shapes.
 */
function conditionFeatures(scope: Scope, picture: Value, config: AsymmetricKlConfig): ReadonlyMap<string, Value> {
  const features = new Map<string, Value>();
  let y = picture;
  conditionWidths(config).forEach((outChannels, i) => {
    const layer = scope.at("layers").at(i);
    const halving = { kernel: 4, stride: 2, padding: BY_ONE };
    y = conv(layer, y, { outChannels, ...(i < 2 ? {} : halving) });
    features.set(`${Math.max(i - 1, 0)} ${outChannels}`, y);
    y = relu(y);
  });
  return features;
}

/** Of each square the pixel at the top left, as PyTorch's "nearest" has it. */
function shrink(mask: Value, level: number): Value {
  const step = 2 ** level;
  return step === 1 ? mask : slice(slice(mask, 2, 0, undefined, step), 3, 0, undefined, step);
}

/**
 * Decoder: latent [N, L, h, w] to picture [N, C, h*f, w*f].
 *
 * @param condition the picture [N, C, h*f, w*f] in [-1, 1], and the mask [N, 1, h*f, w*f]: 1 where it is to be filled in, 0 where
 *   it is known. Without it the latent alone decides
 */
export function asymmetricKlDecode(
  scope: Scope,
  latent: Value,
  config: AsymmetricKlConfig,
  condition?: DecodeCondition<Value>,
): Value {
  const half = halfOf(config, "decoder");
  if (condition === undefined) return sdVaeDecode(scope, latent, half);
  const { image, mask } = condition;
  const known = sub(scalar(1), mask);
  const features = conditionFeatures(scope.at("decoder").at("condition_encoder"), mul(known, image), config);
  return sdVaeDecode(scope, latent, half, (own, level) => {
    // A configuration whose widths don't fit is refused when it is read.
    const given = features.get(`${level} ${own.shape[1]}`) as Value;
    const small = shrink(mask, level);
    return add(mul(own, small), mul(given, sub(scalar(1), small)));
  });
}

/**
 * The tiny autoencoders (TAESD and its relatives, diffusers' `AutoencoderTiny`) as functions of a scope: convolutions and ReLU,
 * no attention, hardly any norm. They map into the latent space of a large autoencoder, in the scale that diffusion models see.
 *
 * Parameters have the names of diffusers: `encoder.layers.N...`, `decoder.layers.N...`, N counting every layer of a flat sequence,
 * those without parameters too. The networks compute on pictures in [0, 1]; here they take and give [-1, 1], as all families do.
 */
import { activation, conv } from "../../blocks/layers.js";
import { ConfigError } from "../../errors.js";
import { groupNorm } from "../../graph/ops/composites.js";
import { add, div, mul, relu, sub, tanh } from "../../graph/ops/elementwise.js";
import { upsampleNearest2d } from "../../graph/ops/layout.js";
import { ONES, type Scope } from "../../graph/scope.js";
import type { Value } from "../../graph/value.js";
import type { TinyConfig } from "./tiny-config.js";

const POOL_GROUPS = 4;
const POOL_EPS = 1e-5;

/** Latents beyond +-3 are bent towards it before they are decoded. */
const CLAMP = 3;

/** x + conv(relu(norm(conv(x)))), both convolutions 1x1 and the inner width four times the outer. */
function pool(scope: Scope, x: Value): Value {
  const channels = x.shape[1] as number;
  const inner = channels * POOL_GROUPS;
  let y = conv(scope.at(0), x, { outChannels: inner, kernel: 1, bias: false });
  const weight = scope.at(1).parameter("weight", [inner], { init: ONES });
  y = groupNorm(y, weight, scope.at(1).parameter("bias", [inner]), { groups: POOL_GROUPS, eps: POOL_EPS });
  return add(x, conv(scope.at(3), relu(y), { outChannels: channels, kernel: 1, bias: false }));
}

/** relu(conv(act(conv(act(conv(x))))) + x), after the pool where the level has one. */
function block(scope: Scope, input: Value, outChannels: number, pooled: boolean, { act }: TinyConfig): Value {
  const x = pooled ? pool(scope.at("pool"), input) : input;
  const place = scope.at("conv");
  let y = activation(conv(place.at(0), x, { outChannels }), act);
  y = activation(conv(place.at(2), y, { outChannels }), act);
  y = conv(place.at(4), y, { outChannels });
  const sameWidth = x.shape[1] === outChannels;
  return relu(add(y, sameWidth ? x : conv(scope.at("skip"), x, { outChannels, kernel: 1, bias: false })));
}

/** Encoder: pictures x [N, C, H, W] in [-1, 1] to latents [N, L, H/f, W/f]. @throws ConfigError where the model has none */
export function tinyEncode(scope: Scope, x: Value, config: TinyConfig): Value {
  const { encoder, act, latentChannels } = config;
  if (encoder === null) throw new ConfigError("encode: the model has no encoder, only a decoder");
  const layers = scope.at("encoder").at("layers");
  let index = 0;
  const next = () => layers.at(index++);

  let y = div(add(x, 1), 2);
  for (const outChannels of encoder.stem) {
    y = activation(conv(next(), y, { outChannels, stride: 2 }), act);
    index += 1;
  }
  encoder.levels.forEach(({ channels, blocks, pool: pooled }, level) => {
    if (level > 0) y = conv(next(), y, { outChannels: channels, stride: 2, bias: false });
    else if (encoder.stem.length === 0) y = conv(next(), y, { outChannels: channels });
    for (let i = 0; i < blocks; i++) y = block(next(), y, channels, pooled, config);
  });
  return conv(next(), y, { outChannels: latentChannels });
}

/** Decoder: latents [N, L, h, w] to pictures [N, C, h*f, w*f]. @throws ConfigError where the model has none */
export function tinyDecode(scope: Scope, latent: Value, config: TinyConfig): Value {
  const { decoder, act, outChannels } = config;
  if (decoder === null) throw new ConfigError("decode: the model has no decoder, only an encoder");
  const layers = scope.at("decoder").at("layers");
  let index = 0;
  const next = () => layers.at(index++);

  let y = mul(tanh(div(latent, CLAMP)), CLAMP);
  y = activation(conv(next(), y, { outChannels: decoder.levels[0]?.channels as number }), act);
  index += 1;
  decoder.levels.forEach(({ channels, blocks, pool: pooled }, level) => {
    if (level > 0) {
      index += 1;
      y = conv(next(), upsampleNearest2d(y, 2), { outChannels: channels, bias: false });
    }
    for (let i = 0; i < blocks; i++) y = block(next(), y, channels, pooled, config);
  });
  return sub(mul(conv(next(), y, { outChannels }), 2), 1);
}

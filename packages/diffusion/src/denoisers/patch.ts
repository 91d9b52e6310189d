/**
 * Latents to tokens and back (ViT; diffusion.md sections 3 and 4).
 *
 * The embedding is a convolution. On the way back a token's features are (row in patch, column in patch, channel) with the
 * channel fastest, unlike the layout of the convolution's weight.
 */
import { conv2d, type Initializer, reshape, type Scope, slice, transpose, type Value } from "@dcae/core/graph";

export interface PatchEmbedOptions {
  readonly width: number;
  readonly patchSize: number;
  /** Kernel if it is larger than the patch; padded by half of it. */
  readonly kernel: number | null;
  /** Channels that the model was made for; x may have fewer with adaptive channels. */
  readonly inChannels: number;
  readonly init: Initializer;
  readonly biasInit: Initializer;
}

/** x [B, c, S, S] to tokens [B, (S/p)^2, width] in row-major order; parameters `weight` and `bias` of `scope`. */
export function patchEmbed(scope: Scope, x: Value, options: PatchEmbedOptions): Value {
  const { width, patchSize, inChannels } = options;
  const kernel = options.kernel ?? patchSize;
  const weight = scope.parameter("weight", [width, inChannels, kernel, kernel], { init: options.init });
  const bias = scope.parameter("bias", [width], { init: options.biasInit });
  const used = slice(weight, 1, 0, x.shape[1] as number);
  const padding = options.kernel === null ? 0 : Math.floor(kernel / 2);
  return imageToTokens(conv2d(x, used, { bias, stride: patchSize, padding }));
}

/** [B, D, H, W] to [B, H * W, D]. */
export function imageToTokens(x: Value): Value {
  const [batch, width] = x.shape as readonly [number, number];
  return transpose(reshape(x, [batch, width, -1]), [0, 2, 1]);
}

/** [B, H * W, D] to [B, D, H, W] with H = W = side. */
export function tokensToImage(tokens: Value, side: number): Value {
  const [batch, , width] = tokens.shape as readonly [number, number, number];
  return reshape(transpose(tokens, [0, 2, 1]), [batch, width, side, side]);
}

/** Tokens [B, side^2, p*p*C] to [B, C, side*p, side*p]. */
export function unpatchify(tokens: Value, patchSize: number): Value {
  const [batch, count, features] = tokens.shape as readonly [number, number, number];
  const side = Math.sqrt(count);
  const channels = features / patchSize ** 2;
  const grid = reshape(tokens, [batch, side, side, patchSize, patchSize, channels]);
  return reshape(transpose(grid, [0, 5, 1, 3, 2, 4]), [batch, channels, side * patchSize, side * patchSize]);
}

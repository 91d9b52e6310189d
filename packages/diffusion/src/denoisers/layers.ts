/**
 * The layers that UViT, DiT and SANA-cls are made of (diffusion.md sections 2 to 5): how parameters are drawn, linear layers, norms
 * of tokens, attention, patches, and the embeddings of position and time.
 */
import {
  add,
  concat,
  constant,
  conv2d,
  cos,
  type Initializer,
  layerNorm,
  matmul,
  mul,
  ONES,
  pad,
  reshape,
  type Scope,
  sin,
  slice,
  softmaxAttention,
  split,
  Tensor,
  transpose,
  type Value,
} from "@dcae/core/graph";

// How the parameters of denoisers are drawn (diffusion.md, "Initialisation" of each model).
//
// The reference cuts its normals at +-2, which at a standard deviation of 0.02 is 100 sigma: a plain normal is the same.

export const NORMAL_002: Initializer = { kind: "normal", std: 0.02 };
export const STANDARD_NORMAL: Initializer = { kind: "normal", std: 1 };
export const ZERO: Initializer = { kind: "constant", value: 0 };

/** Glorot and Bengio (2010): uniform in +-sqrt(6 / (fanIn + fanOut)). */
export function xavierUniform(fanIn: number, fanOut: number): Initializer {
  return { kind: "uniform", bound: Math.sqrt(6 / (fanIn + fanOut)) };
}

/** PyTorch's default of convolutions: uniform in +-1/sqrt(fanIn). */
export function fanInUniform(fanIn: number): Initializer {
  return { kind: "uniform", bound: 1 / Math.sqrt(fanIn) };
}

// A linear layer under PyTorch's names: weight [out, in], bias [out], y = x W^T + b.

interface LinearOptions {
  /** Of the weight. */
  readonly init: Initializer;
  readonly bias?: boolean;
  readonly biasInit?: Initializer;
}

/** x [..., in] to [..., out] with parameters `weight` and `bias` of `scope`. */
export function linear(scope: Scope, x: Value, outFeatures: number, options: LinearOptions): Value {
  const inFeatures = x.shape.at(-1) as number;
  const weight = scope.parameter("weight", [outFeatures, inFeatures], { init: options.init });
  const y = matmul(x, transpose(weight));
  if (options.bias === false) return y;
  const bias = options.biasInit === undefined ? {} : { init: options.biasInit };
  return add(y, scope.parameter("bias", [outFeatures], bias));
}

// Layer normalization over the features of tokens, with and without learned weights.

/** (x - mean) / sqrt(variance + eps) over the last axis of x [B, N, D]. */
export function normalizeTokens(x: Value, eps: number): Value {
  return layerNorm(x, { axis: -1, eps });
}

/** The same with `weight` and `bias` [D] of `scope`. */
export function tokenNorm(scope: Scope, x: Value, eps: number): Value {
  const width = x.shape.at(-1) as number;
  const weight = scope.parameter("weight", [width], { init: ONES });
  return layerNorm(x, { axis: -1, eps, weight, bias: scope.parameter("bias", [width]) });
}

/** LN(x) * (1 + scale) + shift with scale and shift [B, 1, D] given per sample (adaLN, DiT). */
export function modulate(x: Value, shift: Value, scale: Value, eps: number): Value {
  return add(mul(normalizeTokens(x, eps), add(scale, 1)), shift);
}

// Multi-head self-attention of UViT and DiT (diffusion.md section 3): softmax(q k^T / sqrt(d)) v.
//
// One linear layer gives q, k and v, each as wide as the tokens and then cut into heads.

interface AttentionOptions {
  readonly heads: number;
  /** Whether q, k and v have biases. */
  readonly qkvBias: boolean;
  readonly qkvInit: Initializer;
  readonly projInit: Initializer;
}

/** Tokens x [B, N, D] to [B, N, D]; parameters `qkv` and `proj` of `scope`. */
export function selfAttention(scope: Scope, x: Value, options: AttentionOptions): Value {
  const [batch, count, width] = x.shape as readonly [number, number, number];
  const { heads, qkvBias, qkvInit, projInit } = options;
  const headDim = width / heads;
  const qkv = linear(scope.at("qkv"), x, 3 * width, { bias: qkvBias, init: qkvInit });
  const [q, k, v] = split(qkv, 2, [width, width, width]).map((part) =>
    transpose(reshape(part, [batch, count, heads, headDim]), [0, 2, 1, 3]),
  ) as [Value, Value, Value];
  const attended = softmaxAttention(q, k, v);
  const merged = reshape(transpose(attended, [0, 2, 1, 3]), [batch, count, width]);
  return linear(scope.at("proj"), merged, width, { init: projInit });
}

// Latents to tokens and back (ViT; diffusion.md sections 3 and 4). The embedding is a convolution. On the way back a token's features are
// (row in patch, column in patch, channel) with the channel fastest, unlike the layout of the convolution's weight.

interface PatchEmbedOptions {
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

// The fixed two-dimensional sine-cosine position embedding of DiT (diffusion.md section 4).
//
// Sines come first, and the first half of the features belongs to the column. Computed in double, rounded at the end.

/** [1, side * side, width] for tokens in row-major order; `width` is a multiple of 4. */
export function positionEmbedding(width: number, side: number): Tensor<"float32"> {
  const quarter = width / 4;
  const omega = Float64Array.from({ length: quarter }, (_, k) => 1 / 10000 ** (k / quarter));
  const values = new Float32Array(side * side * width);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const start = (row * side + column) * width;
      [column, row].forEach((coordinate, part) => {
        for (let k = 0; k < quarter; k++) {
          const angle = coordinate * (omega[k] as number);
          const at = start + part * 2 * quarter + k;
          values[at] = Math.sin(angle);
          values[at + quarter] = Math.cos(angle);
        }
      });
    }
  }
  return Tensor.float32(values, [1, side * side, width]);
}

// Sinusoidal embedding of the model time (Vaswani et al., 2017), cosines first (diffusion.md section 2).
//
// The frequencies are rounded to float32 at every step, as the reference computes them: near t = 1000 one unit of float32
// in the argument is 6e-5, so frequencies in double precision would move the embedding by up to 3e-5.

const LOG_PERIOD = Math.fround(-Math.log(10000));

/** exp(-ln(10000) k / half) for k = 0..half-1, in float32 arithmetic. */
export function timeFrequencies(half: number): Float32Array {
  return Float32Array.from({ length: half }, (_, k) => {
    const exponent = Math.fround(Math.fround(LOG_PERIOD * k) / half);
    return Math.exp(exponent);
  });
}

/** t [B] (may be fractional) to [B, width]: cosines, sines, and one zero if the width is odd. */
export function timeEmbedding(t: Value, width: number): Value {
  const half = Math.floor(width / 2);
  const frequencies = constant(Tensor.float32(timeFrequencies(half), [1, half]));
  const angles = mul(reshape(t, [t.shape[0] ?? 1, 1]), frequencies);
  return pad(concat([cos(angles), sin(angles)], 1), { 1: [0, width % 2] });
}

/**
 * A way to look at the values between the blocks of a denoiser without changing it: called with the parameter path of a block (or
 * the name of a stage) and its output.
 */
export type OnHidden = (name: string, value: Value) => void;

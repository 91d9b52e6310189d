/**
 * The image side of CLIP (Radford et al., 2021), ViT-L/14 at 336 pixels as published, for CMMD (evaluation.md section 7).
 * Parameter names are those of the Hugging Face files, with their misspelled `pre_layrnorm`.
 */
import { Tensor } from "@dcae/core";
import {
  add,
  concat,
  constant,
  conv2d,
  createProgram,
  createScope,
  div,
  expand,
  layerNorm,
  matmul,
  mul,
  ONES,
  type Program,
  reduceSum,
  reshape,
  type Scope,
  sigmoid,
  slice,
  softmaxAttention,
  sqrt,
  square,
  sub,
  transpose,
  type Value,
} from "@dcae/core/graph";
import { pictureInput, resample } from "./pictures.js";

export interface ClipVisionConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly projectionDim: number;
  readonly layers: number;
  readonly heads: number;
  readonly imageSize: number;
  readonly patchSize: number;
}

/** `openai/clip-vit-large-patch14-336`. */
export const CLIP_VIT_L14_336: ClipVisionConfig = {
  hiddenSize: 1024,
  intermediateSize: 4096,
  projectionDim: 768,
  layers: 24,
  heads: 16,
  imageSize: 336,
  patchSize: 14,
};

const EPS = 1e-5;
const MEAN = [0.48145466, 0.4578275, 0.40821073];
const STD = [0.26862954, 0.26130258, 0.27577711];

function linear(scope: Scope, x: Value, outSize: number, withBias = true): Value {
  const weight = scope.parameter("weight", [outSize, x.shape.at(-1) as number]);
  const product = matmul(x, transpose(weight));
  return withBias ? add(product, scope.parameter("bias", [outSize])) : product;
}

function featureNorm(scope: Scope, x: Value): Value {
  const size = x.shape.at(-1) as number;
  const weight = scope.parameter("weight", [size], { init: ONES });
  return layerNorm(x, { axis: -1, eps: EPS, weight, bias: scope.parameter("bias", [size]) });
}

const quickGelu = (x: Value) => mul(x, sigmoid(mul(x, 1.702)));

function attention(scope: Scope, x: Value, heads: number): Value {
  const [batch, tokens, size] = x.shape as readonly [number, number, number];
  const headSize = size / heads;
  const project = (name: string) =>
    transpose(reshape(linear(scope.at(name), x, size), [batch, tokens, heads, headSize]), [0, 2, 1, 3]);
  const attended = softmaxAttention(project("q_proj"), project("k_proj"), project("v_proj"));
  const mixed = transpose(attended, [0, 2, 1, 3]);
  return linear(scope.at("out_proj"), reshape(mixed, [batch, tokens, size]), size);
}

interface ClipVisionValues {
  /** Output of the last layer, [N, tokens, hidden]. */
  readonly hidden: Value;
  /** Projected class token, [N, projection]. */
  readonly projected: Value;
  /** The same divided by its Euclidean norm. */
  readonly embedding: Value;
}

/** The tower on normalized pictures x [N, 3, size, size]. */
export function clipVision(scope: Scope, x: Value, config: ClipVisionConfig): ClipVisionValues {
  const { hiddenSize, patchSize, imageSize, layers, heads, intermediateSize, projectionDim } = config;
  const batch = x.shape[0] as number;
  const patches = (imageSize / patchSize) ** 2;
  const model = scope.at("vision_model");
  const embeddings = model.at("embeddings");
  const kernel = embeddings.parameter("patch_embedding.weight", [hiddenSize, 3, patchSize, patchSize]);
  const cells = reshape(conv2d(x, kernel, { stride: patchSize }), [batch, hiddenSize, patches]);
  const token = expand(reshape(embeddings.parameter("class_embedding", [hiddenSize]), [1, 1, hiddenSize]), [
    batch,
    1,
    hiddenSize,
  ]);
  const positions = embeddings.parameter("position_embedding.weight", [patches + 1, hiddenSize]);
  let value = featureNorm(model.at("pre_layrnorm"), add(concat([token, transpose(cells)], 1), positions));
  for (let i = 0; i < layers; i++) {
    const layer = model.at(`encoder.layers.${i}`);
    value = add(value, attention(layer.at("self_attn"), featureNorm(layer.at("layer_norm1"), value), heads));
    const inner = quickGelu(linear(layer.at("mlp.fc1"), featureNorm(layer.at("layer_norm2"), value), intermediateSize));
    value = add(value, linear(layer.at("mlp.fc2"), inner, hiddenSize));
  }
  const classToken = reshape(slice(value, 1, 0, 1), [batch, hiddenSize]);
  const pooled = featureNorm(model.at("post_layernorm"), classToken);
  const projected = linear(scope.at("visual_projection"), pooled, projectionDim, false);
  const norm = sqrt(reduceSum(square(projected), 1, { keepDims: true }));
  return { hidden: value, projected, embedding: div(projected, norm) };
}

/** 8-bit values [N, 3, H, W] to the tower's input: bicubic without antialiasing or crop, then mean and deviation. */
export function clipInput(pictures: Value, config: ClipVisionConfig): { readonly resized: Value; readonly x: Value } {
  const perChannel = (values: readonly number[]) => constant(Tensor.float32(values, [1, 3, 1, 1]));
  const resized = resample(mul(pictures, 1 / 255), config.imageSize, config.imageSize, "bicubic");
  return { resized, x: div(sub(resized, perChannel(MEAN)), perChannel(STD)) };
}

/** Input `pictures` uint8 [N, H, W, 3]; output `embedding` [N, 768], unit vectors. */
export function clipProgram(count: number, height: number, width: number, config = CLIP_VIT_L14_336): Program {
  const { x } = clipInput(pictureInput("pictures", count, height, width), config);
  return createProgram("clip vision", { embedding: clipVision(createScope(), x, config).embedding });
}

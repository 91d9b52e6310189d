/**
 * The parameters of a model, found by building it once on a small symbolic picture: there is no second list of names.
 */
import { input } from "../graph/ops/leaves.js";
import type { ParameterSpec } from "../graph/parameter.js";
import { createScope } from "../graph/scope.js";
import { sizeOf } from "../graph/tensor.js";
import { dcAeDecode, dcAeEncode } from "./dc-ae/dc-ae.js";
import { spatialCompression } from "./dc-ae/dc-ae-config.js";
import type { ModelDescription } from "./model-description.js";
import { sdVaeDecode, sdVaeEncode } from "./sd-vae/sd-vae.js";
import { sdVaeSpatialCompression } from "./sd-vae/sd-vae-config.js";

/** What `modelParameters` needs to know about a model. */
export type ModelConfig =
  | Pick<Extract<ModelDescription, { kind: "dc-ae" }>, "kind" | "config">
  | Pick<Extract<ModelDescription, { kind: "sd-vae" }>, "kind" | "config">;

/** All parameters and buffers, the encoder's first, in the order of use; DC-AE under official names, SD-VAE under diffusers'. */
export function modelParameters(model: ModelConfig): ParameterSpec[] {
  const scope = createScope();
  if (model.kind === "dc-ae") {
    const { config } = model;
    const side = spatialCompression(config);
    dcAeEncode(scope, input("x", [1, config.inChannels, side, side]), config);
    dcAeDecode(scope, input("latent", [1, config.latentChannels, 1, 1]), config);
  } else {
    const { config } = model;
    const side = sdVaeSpatialCompression(config);
    sdVaeEncode(scope, input("x", [1, config.inChannels, side, side]), config);
    sdVaeDecode(scope, input("latent", [1, config.latentChannels, 1, 1]), config);
  }
  return [...scope.parameters.values()];
}

/** Learnable values in each part; `other` are the 1x1 convolutions of SD-VAE around the latent. */
export interface ParameterCounts {
  readonly encoder: number;
  readonly decoder: number;
  readonly other: number;
  readonly total: number;
}

/** Counts the learnable values of `specs` by part; buffers don't count. */
export function countParameters(specs: readonly ParameterSpec[]): ParameterCounts {
  const counts = { encoder: 0, decoder: 0, other: 0, total: 0 };
  for (const { name, shape, trainable } of specs) {
    if (!trainable) continue;
    const [top] = name.split(".");
    const size = sizeOf(shape);
    counts[top === "encoder" || top === "decoder" ? top : "other"] += size;
    counts.total += size;
  }
  return counts;
}

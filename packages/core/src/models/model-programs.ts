/**
 * A model as programs, and the parameters that these name: there is no second list of names.
 */
import { input } from "../graph/ops/elementwise.js";
import { createProgram, type Program } from "../graph/program.js";
import { createScope, type Scope } from "../graph/scope.js";
import { sizeOf } from "../graph/tensor.js";
import type { ParameterSpec, Value } from "../graph/value.js";
import { compressionOf, familyOf, hasPart, type ModelConfig } from "./families.js";
import type { EncodeOptions } from "./family.js";

type Shape = Parameters<typeof input>[1];

function encoder(scope: Scope, model: ModelConfig, shape: Shape, options?: EncodeOptions): Value {
  return familyOf(model).encode(scope, input("x", shape), model.config, options);
}

function decoder(scope: Scope, model: ModelConfig, shape: Shape): Value {
  return familyOf(model).decode(scope, input("latent", shape), model.config);
}

/**
 * The encoder for pictures [N, C, H, W] of one shape: input `x`, output `latent` (or `moments`, where that is a Gaussian).
 *
 * @example
 * ```ts
 * import { buildEncodeProgram, getPreset } from "@dcae/core/models";
 *
 * const program = buildEncodeProgram(getPreset("dc-ae-f32c32-in-1.0"), [1, 3, 256, 256]);
 * console.log(program.parameters.size, [...program.outputs.values()].map(({ shape }) => shape)); // ... [[1, 32, 8, 8]]
 * ```
 */
export function buildEncodeProgram(model: ModelConfig, shape: Shape, options: EncodeOptions = {}): Program {
  const { output } = familyOf(model).latent;
  return createProgram("encode", { [output]: encoder(createScope(), model, shape, options) });
}

/** The decoder for latents [N, L, h, w] of one shape: input `latent`, output `picture`. */
export function buildDecodeProgram(model: ModelConfig, shape: Shape): Program {
  return createProgram("decode", { picture: decoder(createScope(), model, shape) });
}

/** All parameters and buffers, the encoder's first, in the order of use, under the names of the family's first format. */
export function modelParameters(model: ModelConfig): ParameterSpec[] {
  const scope = createScope();
  const { inChannels, latentChannels } = model.config;
  const side = compressionOf(model);
  if (hasPart(model, "encoder")) encoder(scope, model, [1, inChannels, side, side]);
  if (hasPart(model, "decoder")) decoder(scope, model, [1, latentChannels, 1, 1]);
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

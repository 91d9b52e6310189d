/**
 * A model as programs, and the parameters that these name: there is no second list of names.
 */
import { input } from "../graph/ops/elementwise.js";
import { createProgram, type Program } from "../graph/program.js";
import { createScope, type Scope } from "../graph/scope.js";
import { sizeOf } from "../graph/tensor.js";
import type { ParameterSpec, Value } from "../graph/value.js";
import { compressionOf, familyOf, hasPart, type ModelConfig } from "./families.js";
import type { DecodeCondition, EncodeOptions, ModelPartName } from "./family.js";

type Shape = Parameters<typeof input>[1];

/** What the ends of a program are called. */
export interface ProgramNames {
  readonly input: string;
  readonly output: string;
}

/** The names that programs have unless others are asked for. */
export function programNames(model: ModelConfig, part: ModelPartName): ProgramNames {
  return part === "encoder"
    ? { input: "x", output: familyOf(model).latent.output }
    : { input: "latent", output: "picture" };
}

function encoder(scope: Scope, model: ModelConfig, x: Value, options?: EncodeOptions): Value {
  return familyOf(model).encode(scope, x, model.config, options);
}

function decoder(scope: Scope, model: ModelConfig, latent: Value, condition?: DecodeCondition<Value>): Value {
  return familyOf(model).decode(scope, latent, model.config, condition);
}

/** The inputs that a decoder takes besides a latent [N, L, h, w], for models that take any. */
function conditionInputs(model: ModelConfig, [batch, , ...latentSides]: readonly number[]): DecodeCondition<Value> {
  const sides = latentSides.map((side) => side * compressionOf(model));
  return {
    image: input("image", [batch as number, model.config.inChannels, ...sides]),
    mask: input("mask", [batch as number, 1, ...sides]),
  };
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
export function buildEncodeProgram(
  model: ModelConfig,
  shape: Shape,
  options: EncodeOptions = {},
  names: ProgramNames = programNames(model, "encoder"),
): Program {
  const x = input(names.input, shape);
  return createProgram("encode", { [names.output]: encoder(createScope(), model, x, options) });
}

/** The decoder for latents [N, L, h, w] of one shape: input `latent`, output `picture`. */
export function buildDecodeProgram(
  model: ModelConfig,
  shape: Shape,
  names: ProgramNames = programNames(model, "decoder"),
): Program {
  return createProgram("decode", { [names.output]: decoder(createScope(), model, input(names.input, shape)) });
}

/**
 * The decoder with a condition, of models that take one: inputs `latent` [N, L, h, w], `image` [N, C, H, W] and `mask` [N, 1, H, W],
 * output `picture`.
 */
export function buildMaskedDecodeProgram(model: ModelConfig, shape: readonly number[]): Program {
  const { input: name, output } = programNames(model, "decoder");
  const condition = conditionInputs(model, shape);
  return createProgram("decode masked", { [output]: decoder(createScope(), model, input(name, shape), condition) });
}

/** All parameters and buffers, the encoder's first, in the order of use, under the names of the family's first format. */
export function modelParameters(model: ModelConfig): ParameterSpec[] {
  const scope = createScope();
  const { inChannels, latentChannels } = model.config;
  const side = compressionOf(model);
  if (hasPart(model, "encoder")) encoder(scope, model, input("x", [1, inChannels, side, side]));
  if (hasPart(model, "decoder")) {
    const shape = [1, latentChannels, 1, 1];
    const condition = familyOf(model).takesCondition ? conditionInputs(model, shape) : undefined;
    decoder(scope, model, input("latent", shape), condition);
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

/**
 * Which arrays of a file make up which parameters.
 *
 * Between all formats a parameter is one array, or several whose rows follow each other; shapes differ at most in unit
 * dimensions. So in row-major order a parameter's values are always the values of its pieces, one after the other, and one plan
 * serves both directions: reading joins the pieces, writing cuts them.
 */
import { CheckpointError } from "../errors.js";
import type { ParameterSpec } from "../graph/parameter.js";
import { sizeOf } from "../graph/tensor.js";
import { dcAeToDiffusers } from "../models/dc-ae/dc-ae-names.js";
import { klToLdm, klToOldDiffusers } from "../models/sd-vae/kl-names.js";
import { quoted } from "./json-text.js";
import type { WeightFormat } from "./recognize-format.js";

/** An array of a file. */
export interface WeightPiece {
  readonly name: string;
  readonly shape: readonly number[];
}

/** A parameter and the arrays whose values, joined in this order, are its values. */
export interface PlannedWeight {
  readonly spec: ParameterSpec;
  readonly pieces: readonly WeightPiece[];
}

export type WeightPlan = readonly PlannedWeight[];

/** The pieces of one parameter, or undefined where the format has no place for it. */
export type NameRule = (spec: WeightPiece) => readonly WeightPiece[] | undefined;

const rules: Readonly<Record<WeightFormat, (specs: readonly WeightPiece[]) => NameRule>> = {
  official: () => (spec) => [spec],
  diffusers: dcAeToDiffusers,
  // The parameters of our SD-VAE have the names of current diffusers.
  "kl-diffusers": () => (spec) => [spec],
  "kl-diffusers-old": () => klToOldDiffusers,
  "kl-ldm": klToLdm,
};

/**
 * Where the parameters of a model lie in a file of the given format, and where to put them in one.
 *
 * @param specs all parameters of the model, under official names (SD-VAE: current diffusers names)
 * @throws CheckpointError when the format has no name for a parameter
 */
export function planWeights(specs: readonly ParameterSpec[], format: WeightFormat): WeightPlan {
  const rule = rules[format](specs);
  return specs.map((spec) => {
    const pieces = rule({ name: spec.name, shape: spec.shape });
    if (pieces === undefined) {
      throw new CheckpointError(`the ${format} format has no name for the parameter ${quoted(spec.name)}`);
    }
    const size = pieces.reduce((sum, piece) => sum + sizeOf(piece.shape), 0);
    if (size !== sizeOf(spec.shape)) {
      throw new CheckpointError(
        `the ${format} format can't hold the parameter ${quoted(spec.name)} of shape [${spec.shape.join(", ")}]`,
      );
    }
    return { spec, pieces };
  });
}

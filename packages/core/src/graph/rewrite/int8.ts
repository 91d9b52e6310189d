/**
 * The form in which programs compute with numbers of 8 bits, for inference on a CPU.
 *
 * What is known from ranges must not depend on the form that a program takes elsewhere, so the passes that decide what is a
 * convolution come first, and both the observed and the quantized program start from their result: `foldAffine` (a batch norm is
 * part of the convolution in front of it) and `splitUpsampling` (an upsampling and its convolution are four convolutions that
 * share a weight).
 *
 * Behind the quantization, composites and shuffles take their forms for a CPU. Winograd's form isn't for 8 bits: its transforms
 * lose two to three of them.
 */
import { ConfigError } from "../../errors.js";
import type { Program } from "../program.js";
import { topologicalOrder } from "../traverse.js";
import { cpuComposites } from "./cpu-composites.js";
import { fastShuffles } from "./fast-shuffles.js";
import { foldAffine } from "./fold-affine.js";
import { type ActivationRanges, quantizeConvolutions } from "./quantize.js";
import { splitUpsampling } from "./upsample-phases.js";

/** The program whose convolutions are observed and quantized. */
export function beforeQuantization(program: Program): Program {
  return splitUpsampling(foldAffine(program));
}

/**
 * @param ranges of the program's convolutions (`calibrate`); those that they don't name stay in float32
 * @throws ConfigError when they name none: they are another model's
 */
export function toInt8(program: Program, ranges: ActivationRanges): Program {
  const quantized = quantizeConvolutions(beforeQuantization(program), ranges);
  if (!topologicalOrder([...quantized.outputs.values()]).some(({ op }) => op === "qlinearConv2d")) {
    throw new ConfigError(`ranges: they name no convolution of "${program.name}"`, {
      hint: "Give those that were observed on this model, encoder and decoder.",
    });
  }
  return fastShuffles(cpuComposites(quantized));
}

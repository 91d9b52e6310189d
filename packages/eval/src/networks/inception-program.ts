/** The two input pipelines of the FID network and the programs made of them (evaluation.md section 2). */
import { createProgram, createScope, mul, type Program, reduceMean, sub, type Value } from "@dcae/core/graph";
import { INCEPTION_SIZE, type InceptionValues, inception } from "./inception.js";
import { pictureInput } from "./pictures.js";
import { resample } from "./resample.js";

/**
 * - `pytorch-fid`: 2 (v / 255) - 1, bilinear with half-pixel centers (the official evaluation, pytorch-fid)
 * - `tf1`: (v - 128) / 128, TensorFlow 1's bilinear (torch-fidelity, ADM's evaluator)
 *
 * Neither is antialiased, even where pictures shrink.
 */
export type InceptionPipeline = "pytorch-fid" | "tf1";

/** What a program gives; `taps` are the means of the intermediate blocks that pytorch-fid offers. */
export type InceptionOutput = "pool" | "logits" | "spatial" | "taps";

const TAPS = { feat_64: "maxpool1", feat_192: "maxpool2", feat_768: "Mixed_6e" } as const;

function scaled(pictures: Value, pipeline: InceptionPipeline): Value {
  return pipeline === "tf1" ? mul(sub(pictures, 128), 1 / 128) : sub(mul(pictures, 2 / 255), 1);
}

function outputsOf({ blocks, pool, logits, spatial }: InceptionValues, output: InceptionOutput): Record<string, Value> {
  if (output === "pool") return { pool };
  if (output === "logits") return { logits };
  if (output === "spatial") return { spatial };
  const taps = Object.entries(TAPS).map(([name, block]) => [name, reduceMean(blocks.get(block) as Value, [2, 3])]);
  return Object.fromEntries(taps);
}

export interface InceptionProgramOptions {
  readonly count: number;
  readonly height: number;
  readonly width: number;
  readonly pipeline: InceptionPipeline;
  readonly outputs: readonly InceptionOutput[];
}

/** Input `pictures` uint8 [N, H, W, 3]; outputs under the names of `outputs` (`feat_64`, `feat_192`, `feat_768` for taps). */
export function inceptionProgram({ count, height, width, pipeline, outputs }: InceptionProgramOptions): Program {
  const pictures = pictureInput("pictures", count, height, width);
  const resized = resample(scaled(pictures, pipeline), INCEPTION_SIZE, INCEPTION_SIZE, kindOf(pipeline));
  const values = inception(createScope(), resized);
  const named = outputs.map((output) => outputsOf(values, output));
  return createProgram(`inception (${pipeline})`, Object.assign({}, ...named));
}

function kindOf(pipeline: InceptionPipeline): "bilinear" | "bilinear-tf1" {
  return pipeline === "tf1" ? "bilinear-tf1" : "bilinear";
}

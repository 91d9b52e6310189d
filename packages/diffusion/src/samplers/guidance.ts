/**
 * Classifier-free guidance (Ho and Salimans, 2022; diffusion.md section 10): the prediction with labels is pushed away from the
 * one without, out = uncond + scale * (cond - uncond).
 *
 * Both come from one doubled batch, [cond; uncond]. Only the first channels are guided; the others (the learned variance) stay
 * as each half has them. A scale of 1 means no guidance, and a single pass.
 */
import { ConfigError } from "@dcae/core";
import { sizeOf, Tensor } from "@dcae/core/graph";
import { type DenoiserConfig, nullLabel } from "../denoisers/denoiser-config.js";
import type { Model } from "./sampler.js";

/** One forward pass: x [B, C, S, S], t float32 [B], labels int32 [B] (undefined for models without classes). */
export type ForwardPass = (x: Tensor, t: Tensor, labels: Tensor | undefined) => Promise<Tensor>;

export interface GuidanceOptions {
  /** Default 1: none. */
  readonly scale?: number | undefined;
  /** How many of the first output channels are guided (default: all latent channels). */
  readonly channels?: number | null | undefined;
  /** Model times in which guidance acts (default: always). */
  readonly interval?: readonly [low: number, high: number] | null | undefined;
  /** Keep the channels of a learned variance in the output (default true). Samplers that don't know them need false. */
  readonly keepVariance?: boolean;
}

/**
 * The guided output of a doubled batch, for both halves.
 *
 * @param output [2B, C, S, S], the second half without labels
 */
export function guideHalves(output: Tensor, scale: number, channels: number): Tensor<"float32"> {
  const [doubled, all] = output.shape as readonly [number, number, number, number];
  const plane = sizeOf(output.shape.slice(2));
  const half = (doubled / 2) * all * plane;
  const values = output.toFloat32().slice();
  for (let i = 0; i < half; i++) {
    if (Math.floor(i / plane) % all >= channels) continue;
    const [cond, uncond] = [values[i] as number, values[half + i] as number];
    values[i] = uncond + scale * (cond - uncond);
    values[half + i] = values[i] as number;
  }
  return Tensor.float32(values, output.shape);
}

/** The first `channels` channels of x [B, C, S, S]. */
function firstChannels(x: Tensor, channels: number): Tensor {
  return channels === x.shape[1] ? x : x.slice([undefined, { stop: channels }]);
}

function twice(x: Tensor): Tensor {
  const values = x.toFloat32();
  const doubled = new Float32Array(2 * values.length);
  doubled.set(values);
  doubled.set(values, values.length);
  return Tensor.float32(doubled, [2 * (x.shape[0] as number), ...x.shape.slice(1)]);
}

function int32(values: readonly number[]): Tensor {
  return new Tensor("int32", Int32Array.from(values), [values.length]);
}

/**
 * A model for samplers from a denoiser, labels and guidance.
 *
 * @param labels one class per state; undefined for a model without classes
 * @throws ConfigError when guidance is asked of a model without a null class, or a label isn't a class
 */
export function guidedModel(
  forward: ForwardPass,
  config: DenoiserConfig,
  labels: readonly number[] | undefined,
  options: GuidanceOptions = {},
): Model {
  const { scale = 1, interval = null, keepVariance = true } = options;
  const none = nullLabel(config);
  checkLabels(config, labels);
  if (!(Number.isFinite(scale) && scale >= 0)) {
    throw new ConfigError(`guidance: the scale is ${scale}, but must be a number of at least 0`, {
      hint: "1 means no guidance, 0 no classes, and more than 1 pulls towards the class.",
    });
  }
  if (scale !== 1 && none === undefined) {
    throw new ConfigError("guidance: this model has no null class to guide away from", { hint: "Use a scale of 1." });
  }
  return async (x, t) => {
    const [batch, channels] = x.shape as readonly [number, number, number, number];
    const outside = interval !== null && (t < interval[0] || t > interval[1]);
    const times = (count: number) => Tensor.float32(new Float32Array(count).fill(t));
    const select = (output: Tensor) => (keepVariance ? output : firstChannels(output, channels));
    if (scale === 1 || outside || none === undefined || labels === undefined) {
      return select(await forward(x, times(batch), labels && int32(labels)));
    }
    const nulls = labels.map(() => none);
    const output = await forward(twice(x), times(2 * batch), int32([...labels, ...nulls]));
    const guided = guideHalves(output, scale, options.channels ?? channels);
    return select(guided.slice([{ stop: batch }]));
  };
}

function checkLabels(config: DenoiserConfig, labels: readonly number[] | undefined): void {
  if ((config.numClasses === 0) !== (labels === undefined)) {
    throw new ConfigError(
      labels === undefined
        ? `labels: the model has ${config.numClasses} classes and needs one per sample`
        : "labels: the model has no classes",
    );
  }
  const last = nullLabel(config) ?? config.numClasses - 1;
  const wrong = labels?.find((label) => !(Number.isInteger(label) && label >= 0 && label <= last));
  if (wrong !== undefined) {
    const none = nullLabel(config) === undefined ? "" : `, and ${last} stands for none`;
    throw new ConfigError(`labels: ${wrong} isn't a class`, {
      hint: `Classes are 0 to ${config.numClasses - 1}${none}.`,
    });
  }
}

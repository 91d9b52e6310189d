/** Labels replaced by the null class at random, so that one model learns to predict with and without (diffusion.md section 6). */
import { ConfigError } from "@dcae/core";
import { type Random, Tensor } from "@dcae/core/graph";
import { type DenoiserConfig, nullLabel } from "../denoisers/denoiser-config.js";

/**
 * The labels of a training batch, int32 [B].
 *
 * @param labels classes in 0..numClasses-1
 * @throws ConfigError for a label that isn't a class
 */
export function dropLabels(labels: ArrayLike<number>, config: DenoiserConfig, random: Random): Tensor<"int32"> {
  const none = nullLabel(config);
  const dropped = Int32Array.from(labels, (label) => {
    if (!(Number.isInteger(label) && label >= 0 && label < config.numClasses)) {
      throw new ConfigError(`label ${label} isn't a class: the model has ${config.numClasses}`);
    }
    return none !== undefined && random.nextUniform() < config.classDropoutProb ? none : label;
  });
  return new Tensor("int32", dropped, [dropped.length]);
}

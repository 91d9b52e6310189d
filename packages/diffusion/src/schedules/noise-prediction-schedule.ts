/**
 * The discrete schedule on which UViT's noise model is trained (diffusion.md 8.1), in double.
 *
 * Index 0 is the clean latent, 1..N are the steps: x_n = sqrt(cumAlpha_n) x_0 + sqrt(cumBeta_n) noise.
 */
import { stableDiffusionBetas } from "./betas.js";

export interface NoisePredictionSchedule {
  readonly steps: number;
  /** [N + 1], the first is 0. */
  readonly betas: Float64Array;
  readonly cumAlphas: Float64Array;
  readonly cumBetas: Float64Array;
}

/** @param stepBetas the N noise variances (default: the published schedule of 1000) */
export function noisePredictionSchedule(stepBetas: Float64Array = stableDiffusionBetas()): NoisePredictionSchedule {
  const steps = stepBetas.length;
  const betas = Float64Array.from([0, ...stepBetas]);
  const cumAlphas = new Float64Array(steps + 1).fill(1);
  const cumBetas = new Float64Array(steps + 1);
  for (let n = 1; n <= steps; n++) {
    const [beta, alpha] = [betas[n] as number, 1 - (betas[n] as number)];
    cumAlphas[n] = (cumAlphas[n - 1] as number) * alpha;
    // Summed, not 1 - cumAlpha: that would cancel at the first steps.
    cumBetas[n] = (cumBetas[n - 1] as number) * alpha + beta;
  }
  return { steps, betas, cumAlphas, cumBetas };
}

/** The window of SSIM: Gaussian, sigma 1.5, `2 * trunc(3.5 sigma + 0.5) + 1` = 11 weights that sum to 1. */
const SIGMA = 1.5;
export const SSIM_RADIUS = Math.trunc(3.5 * SIGMA + 0.5);
export const SSIM_WINDOW: Float64Array = gaussianWindow();

function gaussianWindow(): Float64Array {
  const length = 2 * SSIM_RADIUS + 1;
  const weights = Float64Array.from({ length }, (_, i) => Math.exp(-((i - SSIM_RADIUS) ** 2) / (2 * SIGMA ** 2)));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

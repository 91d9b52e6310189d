/**
 * SSIM of batches as a graph: the same computation as metrics/ssim.ts in float32, on whatever device the engine has.
 */
import { ConfigError, Tensor } from "@dcae/core";
import {
  add,
  concat,
  constant,
  createProgram,
  div,
  matmul,
  maximum,
  mul,
  type Program,
  reduceMean,
  slice,
  split,
  square,
  sub,
  transpose,
  type Value,
} from "@dcae/core/graph";
import { SSIM_RADIUS, SSIM_WINDOW } from "../metrics/ssim-window.js";
import { pictureInput } from "./pictures.js";

/** The shortest side that the window fits into. */
export const SSIM_MIN_SIDE = SSIM_WINDOW.length;

const RANGE = 255;
const C1 = (0.01 * RANGE) ** 2;
const C2 = (0.03 * RANGE) ** 2;
/** Values are centered first: variances are then differences of smaller numbers, which float32 needs. */
const SHIFT = RANGE / 2;

/** The window as a matrix [size, size]: row i holds the weights of output i, those of reflected positions added up. */
function blurMatrix(size: number): Value {
  const matrix = new Float32Array(size * size);
  for (let i = 0; i < size; i++) {
    SSIM_WINDOW.forEach((weight, k) => {
      const position = Math.abs(i + k - SSIM_RADIUS);
      const inside = position < size ? position : 2 * (size - 1) - position;
      matrix[i * size + inside] = (matrix[i * size + inside] as number) + weight;
    });
  }
  return constant(Tensor.float32(matrix, [size, size]));
}

/**
 * Gaussian means of x [..., H, W] at every position, as two matrix products. Most of their terms are 0, and they are
 * still faster than convolutions of one channel, which run at a hundredth of the machine's speed (bench/metrics.bench.mjs).
 */
function blur(x: Value): Value {
  const [height, width] = x.shape.slice(-2) as [number, number];
  return matmul(matmul(blurMatrix(height), x), transpose(blurMatrix(width)));
}

/**
 * Inputs `a` and `b`, 8-bit pictures [N, H, W, 3]; outputs `whole` and `cropped` [N], means over the map with and without
 * its outer 5 pixels.
 *
 * @throws ConfigError when a side has less than 11 pixels
 */
export function ssimProgram(count: number, height: number, width: number): Program {
  if (Math.min(height, width) < SSIM_MIN_SIDE) {
    throw new ConfigError(`SSIM needs pictures of at least ${SSIM_MIN_SIDE} pixels per side`, {
      hint: `The pictures have ${width}x${height}; leave ssim out of the metrics.`,
    });
  }
  const [x, y] = ["a", "b"].map((name) => sub(pictureInput(name, count, height, width), SHIFT)) as [Value, Value];
  const moments = blur(concat([x, y, square(x), square(y), mul(x, y)], 1));
  const [mx, my, mxx, myy, mxy] = split(moments, 1, [3, 3, 3, 3, 3]) as [Value, Value, Value, Value, Value];
  const varianceX = maximum(sub(mxx, square(mx)), 0);
  const varianceY = maximum(sub(myy, square(my)), 0);
  const covariance = sub(mxy, mul(mx, my));
  const [meanX, meanY] = [add(mx, SHIFT), add(my, SHIFT)];
  const map = div(
    mul(add(mul(mul(meanX, meanY), 2), C1), add(mul(covariance, 2), C2)),
    mul(add(add(square(meanX), square(meanY)), C1), add(add(varianceX, varianceY), C2)),
  );
  const inner = slice(slice(map, 2, SSIM_RADIUS, -SSIM_RADIUS), 3, SSIM_RADIUS, -SSIM_RADIUS);
  return createProgram("ssim", { whole: reduceMean(map, [1, 2, 3]), cropped: reduceMean(inner, [1, 2, 3]) });
}

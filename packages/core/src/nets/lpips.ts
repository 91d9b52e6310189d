/**
 * LPIPS 0.1 (Zhang et al. 2018): the distance of two pictures in the features of a trained classifier.
 *
 * With the AlexNet trunk it is the metric of published tables, with VGG16 it is what training uses; values of the two aren't
 * comparable (VGG's are about twice as large). Sources: `training.md` section 5, `evaluation.md` section 8. Parameters have the
 * names of the `lpips` package (`net.slice1.0.weight`, `lin0.model.1.weight`) and are declared as not trainable.
 */
import { ShapeError } from "../errors.js";
import { shapeToString } from "../graph/dim.js";
import {
  add,
  constant,
  div,
  equal,
  mul,
  reduceMean,
  reduceSum,
  relu,
  sqrt,
  square,
  sub,
  where,
} from "../graph/ops/elementwise.js";
import { conv2d, maxPool2d } from "../graph/ops/linear.js";
import type { Scope } from "../graph/scope.js";
import { Tensor } from "../graph/tensor.js";
import type { Value } from "../graph/value.js";

export type LpipsTrunk = "alex" | "vgg";

/**
 * Where the epsilon of the channel norm stands: `lpips` is f / (sqrt(sum f^2) + 1e-10) (the original package),
 * `official-evaluation` is f / sqrt(1e-8 + sum f^2) (torchmetrics, the metric of the published tables).
 */
export type LpipsNorm = "official-evaluation" | "lpips";

interface ConvSpec {
  /** Position in torchvision's `features`, part of the name. */
  readonly index: number;
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
}

interface Slice {
  readonly pool: { readonly kernel: number; readonly stride: number } | undefined;
  readonly width: number;
  readonly convs: readonly ConvSpec[];
}

const c3 = (index: number): ConvSpec => ({ index, kernel: 3, stride: 1, padding: 1 });
const alexPool = { kernel: 3, stride: 2 };
const vggPool = { kernel: 2, stride: 2 };

/** Each slice ends at a tap, behind the ReLU of its last convolution. */
const TRUNKS: Readonly<Record<LpipsTrunk, { readonly minSide: number; readonly slices: readonly Slice[] }>> = {
  alex: {
    minSide: 31,
    slices: [
      { pool: undefined, width: 64, convs: [{ index: 0, kernel: 11, stride: 4, padding: 2 }] },
      { pool: alexPool, width: 192, convs: [{ index: 3, kernel: 5, stride: 1, padding: 2 }] },
      { pool: alexPool, width: 384, convs: [c3(6)] },
      { pool: undefined, width: 256, convs: [c3(8)] },
      { pool: undefined, width: 256, convs: [c3(10)] },
    ],
  },
  vgg: {
    minSide: 16,
    slices: [
      { pool: undefined, width: 64, convs: [c3(0), c3(2)] },
      { pool: vggPool, width: 128, convs: [c3(5), c3(7)] },
      { pool: vggPool, width: 256, convs: [c3(10), c3(12), c3(14)] },
      { pool: vggPool, width: 512, convs: [c3(17), c3(19), c3(21)] },
      { pool: vggPool, width: 512, convs: [c3(24), c3(26), c3(28)] },
    ],
  },
};

/** The shortest side that a trunk takes. */
export function lpipsMinSide(trunk: LpipsTrunk): number {
  return TRUNKS[trunk].minSide;
}

/** Which slice of the `lpips` package a layer of torchvision's `features` belongs to, from 1. */
export function lpipsSliceOf(trunk: LpipsTrunk, index: number): number | undefined {
  const slice = TRUNKS[trunk].slices.findIndex(({ convs }) => convs.some((conv) => conv.index === index));
  return slice < 0 ? undefined : slice + 1;
}

/** Per RGB channel, on pictures in [-1, 1]. */
const SHIFT = [-0.03, -0.088, -0.188];
const SCALE = [0.458, 0.448, 0.45];

export interface LpipsOptions {
  /** Default "vgg". */
  readonly trunk?: LpipsTrunk;
  /** Default "lpips". */
  readonly norm?: LpipsNorm;
  /** Widths of the five taps; the published ones by default. */
  readonly widths?: readonly number[];
}

export interface LpipsValue {
  /** Per picture, [N]. */
  readonly distance: Value;
  /** What each tap adds to it, [N] each. */
  readonly terms: readonly Value[];
  /** Features of the first pictures. */
  readonly taps: readonly Value[];
}

/**
 * Distances of pictures a and b [N, 3, H, W] in [-1, 1]; parameters below `scope`.
 *
 * @throws ShapeError when they aren't pictures, or shorter than the trunk takes
 */
export function lpips(scope: Scope, a: Value, b: Value, options: LpipsOptions = {}): LpipsValue {
  const { norm = "lpips" } = options;
  const taps = lpipsFeatures(scope, a, options);
  const others = lpipsFeatures(scope, b, options);
  const terms = taps.map((tap, i) => {
    const difference = square(sub(normalized(tap, norm), normalized(others[i] as Value, norm)));
    const shape = [1, tap.shape[1] as number, 1, 1];
    const weight = scope.at(`lin${i}.model.1`).parameter("weight", shape, { trainable: false });
    return reduceMean(reduceSum(mul(difference, weight), 1), [1, 2]);
  });
  return { distance: terms.reduce((sum, term) => add(sum, term)), terms, taps };
}

/** LPIPS averaged over the batch, a scalar. */
export function lpipsLoss(scope: Scope, a: Value, b: Value, options: LpipsOptions = {}): Value {
  return reduceMean(lpips(scope, a, b, options).distance);
}

/** The five taps of pictures x. */
function lpipsFeatures(scope: Scope, x: Value, { trunk = "vgg", widths }: LpipsOptions): Value[] {
  const { minSide, slices } = TRUNKS[trunk];
  const [, channels, height, width] = x.shape;
  if (x.shape.length !== 4 || channels !== 3 || (height as number) < minSide || (width as number) < minSide) {
    throw new ShapeError(
      `lpips (${trunk}): needs pictures [N, 3, H, W] with sides of at least ${minSide}, got ${shapeToString(x.shape)}`,
    );
  }
  const perChannel = (values: readonly number[]) => constant(Tensor.float32(values, [1, 3, 1, 1]));
  let y = div(sub(x, perChannel(SHIFT)), perChannel(SCALE));
  return slices.map(({ pool, width: published, convs }, i) => {
    const outChannels = widths?.[i] ?? published;
    if (pool !== undefined) y = maxPool2d(y, pool.kernel, { stride: pool.stride });
    for (const { index, kernel, stride, padding } of convs) {
      const place = scope.at(`net.slice${i + 1}.${index}`);
      const shape = [outChannels, y.shape[1] as number, kernel, kernel];
      const weight = place.parameter("weight", shape, { trainable: false });
      const bias = place.parameter("bias", [outChannels], { trainable: false });
      y = relu(conv2d(y, weight, { bias, stride, padding }));
    }
    return y;
  });
}

/** Unit length over channels; 0 where all channels are 0, with a finite derivative. */
function normalized(tap: Value, norm: LpipsNorm): Value {
  const energy = reduceSum(square(tap), 1, { keepDims: true });
  if (norm === "official-evaluation") return div(tap, sqrt(add(energy, 1e-8)));
  // The root's derivative at 0 is infinite, and 0 times that isn't a number.
  return div(tap, add(sqrt(where(equal(energy, 0), 1, energy)), 1e-10));
}

/**
 * LPIPS version 0.1 with the VGG16 trunk, as a loss (Zhang et al. 2018; training.md section 5).
 *
 * Names are those of the published file (`lin0.model.1.weight`) and of its trunk (`net.slice1.0.weight`, where the number is
 * the position in torchvision's `features`). The trunk keeps the training scope's parameters out of the optimizer: they are
 * declared as not trainable.
 */
import {
  add,
  constant,
  conv2d,
  div,
  equal,
  maxPool2d,
  mul,
  reduceMean,
  reduceSum,
  relu,
  reshape,
  type Scope,
  ShapeError,
  shapeToString,
  sqrt,
  square,
  sub,
  Tensor,
  type Value,
  where,
} from "@dcae/core/graph";

const SHIFT = [-0.03, -0.088, -0.188];
const SCALE = [0.458, 0.448, 0.45];

/** Convolutions per slice, by their position in torchvision's `features`; slices after the first start with a pool. */
const SLICES: readonly (readonly number[])[] = [
  [0, 2],
  [5, 7],
  [10, 12, 14],
  [17, 19, 21],
  [24, 26, 28],
];

/** Smallest height and width that survive the four pools. */
const MIN_SIDE = 16;

/** Channels of the five slices of VGG16. */
export const VGG16_WIDTHS: readonly number[] = [64, 128, 256, 512, 512];

export interface LpipsOptions {
  /** Channels per slice. Default `VGG16_WIDTHS`. */
  readonly widths?: readonly number[];
  /**
   * Where the normalization's epsilon stands: f / (|f| + 1e-10) as the original, or f / sqrt(|f|^2 + 1e-8) as torchmetrics.
   * Default "outside".
   */
  readonly epsilon?: "outside" | "inside";
}

export interface LpipsValue {
  /** Per image, [N]. */
  readonly distance: Value;
  /** The five terms that add up to it, each [N]. */
  readonly terms: readonly Value[];
}

/** Distance of images x and y [N, 3, H, W] in [-1, 1]; parameters below `scope`. */
export function lpips(scope: Scope, x: Value, y: Value, options: LpipsOptions = {}): LpipsValue {
  const { widths = VGG16_WIDTHS, epsilon = "outside" } = options;
  for (const image of [x, y]) {
    const [, channels, height, width] = image.shape;
    if (image.shape.length !== 4 || channels !== 3 || (height as number) < MIN_SIDE || (width as number) < MIN_SIDE) {
      throw new ShapeError(
        `lpips: needs images [N, 3, H, W] with sides of at least ${MIN_SIDE}, got ${shapeToString(image.shape)}`,
      );
    }
  }
  const [left, right] = [features(scope, x, widths), features(scope, y, widths)];
  const terms = left.map((tap, i) => {
    const difference = square(sub(normalize(tap, epsilon), normalize(right[i] as Value, epsilon)));
    const weight = scope
      .at(`lin${i}.model.1`)
      .parameter("weight", [1, widths[i] as number, 1, 1], { trainable: false });
    return reduceMean(reduceSum(mul(difference, weight), 1), [1, 2]);
  });
  return { distance: terms.reduce((sum, term) => add(sum, term)), terms };
}

/** Outputs of the five slices, after their last ReLU. */
function features(scope: Scope, image: Value, widths: readonly number[]): Value[] {
  const perChannel = (values: readonly number[]) => constant(Tensor.float32(values, [1, 3, 1, 1]));
  let y = div(sub(image, perChannel(SHIFT)), perChannel(SCALE));
  return SLICES.map((positions, slice) => {
    if (slice > 0) y = maxPool2d(y, 2);
    for (const position of positions) {
      const place = scope.at(`net.slice${slice + 1}.${position}`);
      const outChannels = widths[slice] as number;
      const weight = place.parameter("weight", [outChannels, y.shape[1] as number, 3, 3], { trainable: false });
      const bias = place.parameter("bias", [outChannels], { trainable: false });
      y = relu(conv2d(y, weight, { bias, padding: 1 }));
    }
    return y;
  });
}

/** Unit length over channels; 0 where all channels are 0, with a finite derivative. */
function normalize(tap: Value, epsilon: "outside" | "inside"): Value {
  const energy = reduceSum(square(tap), 1, { keepDims: true });
  if (epsilon === "inside") return div(tap, sqrt(add(energy, 1e-8)));
  // The root's derivative at 0 is infinite, and 0 times that isn't a number.
  return div(tap, add(sqrt(where(equal(energy, 0), 1, energy)), 1e-10));
}

/** LPIPS averaged over the batch, a scalar. */
export function lpipsLoss(scope: Scope, x: Value, y: Value, options: LpipsOptions = {}): Value {
  return reduceMean(reshape(lpips(scope, x, y, options).distance, [-1]));
}

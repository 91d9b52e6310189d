/**
 * LPIPS 0.1 (Zhang et al., 2018) with both trunks: AlexNet is the metric of published tables, VGG16 is what training
 * uses; values of the two aren't comparable (VGG's are about twice as large). Sources: training.md section 5,
 * evaluation.md section 8. Parameter names are those of the `lpips` package.
 */
import { ConfigError, Tensor } from "@dcae/core";
import {
  add,
  constant,
  conv2d,
  createProgram,
  createScope,
  div,
  maxPool2d,
  mul,
  type Program,
  reduceMean,
  reduceSum,
  relu,
  reshape,
  type Scope,
  sqrt,
  square,
  sub,
  type Value,
} from "@dcae/core/graph";
import { pictureInput } from "./pictures.js";

export type LpipsTrunk = "alex" | "vgg";

/**
 * Where the epsilon of the channel norm stands: `official-evaluation` is f / sqrt(1e-8 + sum f^2) (the metric of the
 * published tables), `lpips` is f / (sqrt(sum f^2) + 1e-10) (the original package).
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

/** Per RGB channel, on pictures in [-1, 1]. */
const SHIFT = [-0.03, -0.088, -0.188];
const SCALE = [0.458, 0.448, 0.45];

export interface LpipsOptions {
  readonly trunk: LpipsTrunk;
  readonly norm: LpipsNorm;
  /** Widths of the five taps; the published ones by default. */
  readonly widths?: readonly number[];
}

/** The five taps of pictures x [N, 3, H, W] in [-1, 1]. */
export function lpipsFeatures(scope: Scope, x: Value, { trunk, widths }: Omit<LpipsOptions, "norm">): Value[] {
  const perChannel = (values: readonly number[]) => constant(Tensor.float32(values, [1, 3, 1, 1]));
  let value = div(sub(x, perChannel(SHIFT)), perChannel(SCALE));
  return TRUNKS[trunk].slices.map(({ pool, width: published, convs }, i) => {
    const width = widths?.[i] ?? published;
    if (pool !== undefined) value = maxPool2d(value, pool.kernel, { stride: pool.stride });
    for (const { index, kernel, stride, padding } of convs) {
      const place = scope.at(`net.slice${i + 1}.${index}`);
      const weight = place.parameter("weight", [width, value.shape[1] as number, kernel, kernel]);
      value = relu(conv2d(value, weight, { bias: place.parameter("bias", [width]), stride, padding }));
    }
    return value;
  });
}

function normalized(features: Value, norm: LpipsNorm): Value {
  const sum = reduceSum(square(features), 1, { keepDims: true });
  return div(features, norm === "lpips" ? add(sqrt(sum), 1e-10) : sqrt(add(sum, 1e-8)));
}

/** Distances of pictures a and b [N, 3, H, W] in [-1, 1]: the total [N] and the part of each tap [N, 5 values]. */
export function lpips(
  scope: Scope,
  a: Value,
  b: Value,
  options: LpipsOptions,
): { readonly distance: Value; readonly perTap: readonly Value[]; readonly taps: readonly Value[] } {
  const taps = lpipsFeatures(scope, a, options);
  const others = lpipsFeatures(scope, b, options);
  const perTap = taps.map((tap, i) => {
    const difference = square(sub(normalized(tap, options.norm), normalized(others[i] as Value, options.norm)));
    const channels = tap.shape[1] as number;
    const weight = scope.parameter(`lin${i}.model.1.weight`, [1, channels, 1, 1]);
    // The weighted sum over channels as a 1x1 convolution.
    return reshape(reduceMean(conv2d(difference, weight), [2, 3]), [a.shape[0] ?? 1]);
  });
  return { distance: perTap.reduce((sum, term) => add(sum, term)), perTap, taps };
}

export interface LpipsProgramOptions extends LpipsOptions {
  readonly count: number;
  readonly height: number;
  readonly width: number;
}

/**
 * Inputs `a` and `b`, 8-bit pictures [N, H, W, 3]; output `distance` [N].
 *
 * @throws ConfigError when a side is too short for the trunk
 */
export function lpipsProgram({ count, height, width, ...options }: LpipsProgramOptions): Program {
  const minSide = lpipsMinSide(options.trunk);
  if (Math.min(height, width) < minSide) {
    throw new ConfigError(`LPIPS (${options.trunk}) needs pictures of at least ${minSide} pixels per side`, {
      hint: `The pictures have ${width}x${height}; leave lpips out of the metrics.`,
    });
  }
  const picture = (name: string) => sub(mul(pictureInput(name, count, height, width), 2 / 255), 1);
  const { distance } = lpips(createScope(), picture("a"), picture("b"), options);
  return createProgram(`lpips (${options.trunk})`, { distance });
}

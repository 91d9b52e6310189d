/** Gradients of matrix products, convolutions, filter banks and pooling. */
import {
  add,
  allocate,
  averagePool2d,
  build,
  cast,
  concat,
  constant,
  conv2d,
  convTranspose2d,
  type Dim,
  div,
  equal,
  matmul,
  mul,
  type OpName,
  pad,
  pixelShuffle,
  reduceSum,
  reshape,
  shapeSize,
  sizeOf,
  slice,
  staticShape,
  sub,
  Tensor,
  transpose,
  upsampleNearest2d,
  type Value,
  type ValueOf,
} from "@dcae/core/graph";
import { sumToShape, unslice } from "../adjoints.js";
import { convolutionInputGradient, convolutionWeightGradient } from "../convolution-gradients.js";
import type { GradientRule } from "../gradient-rule.js";

type Shape4 = readonly [number, number, number, number];

/** a^T dy. One product for the whole batch where b is a plain matrix (a linear layer's weight). */
function matmulRight(a: Value, b: Value, dy: Value): Value {
  if (b.shape.length > 2 || a.shape.length === 2) return sumToShape(matmul(transpose(a), dy), b.shape);
  const rows = shapeSize(a.shape.slice(0, -1));
  const flat = (x: Value) => reshape(x, [rows, x.shape.at(-1) as Dim]);
  return matmul(transpose(flat(a)), flat(dy));
}

export const spatialGradients = {
  matmul: (y, dy) => {
    const [a, b] = y.inputs;
    return [() => sumToShape(matmul(dy, transpose(b)), a.shape), () => matmulRight(a, b, dy)];
  },
  conv2d: (y, dy, forms) => {
    const [x, weight] = y.inputs;
    const sizes = staticShape(x.shape, "the gradient of conv2d") as Shape4;
    return [
      () => convolutionInputGradient(dy, weight, sizes, y.attributes, forms),
      () => convolutionWeightGradient(x, dy, weight.shape as Shape4, y.attributes, forms),
      () => reduceSum(dy, [0, 2, 3]),
    ];
  },
  // The adjoint of an adjoint: dy and x change places.
  convTranspose2d: (y, dy, forms) => {
    const [x, weight] = y.inputs;
    const { stride, padding, dilation, groups } = y.attributes;
    return [
      () => conv2d(dy, weight, { stride, padding, dilation, groups }),
      () => convolutionWeightGradient(dy, x, weight.shape as Shape4, y.attributes, forms),
    ];
  },
  filterBank: (y, dy) => [() => filterBankInputGradient(y, dy), () => filterBankFilterGradient(y, dy)],
  maxPool2d: (y, dy) => [() => maxPoolGradient(y, dy)],
  averagePool2d: (y, dy) => [() => averagePoolGradient(y, dy)],
} satisfies { [K in OpName]?: GradientRule<K> };

/** What no element wins against: padding of a maximum. */
const LOWEST = -3.4028234663852886e38;

/**
 * The gradient of a window goes to the first of its largest elements (in reading order), as in PyTorch.
 *
 * Tap by tap, `taken` marks windows that have found their maximum.
 */
function maxPoolGradient(y: ValueOf<"maxPool2d">, dy: Value): Value {
  const { kernel, stride, padding } = y.attributes;
  const [x] = y.inputs;
  const [batch, channels, height, width] = staticShape(x.shape, "the gradient of maxPool2d") as Shape4;
  const [, , outHeight, outWidth] = staticShape(y.shape, "the gradient of maxPool2d") as Shape4;
  const padded = pad(x, { 2: [padding.top, padding.bottom], 3: [padding.left, padding.right] }, "constant", LOWEST);
  const sizes = padded.shape as Shape4;
  const parts: Value[] = [];
  let taken: Value | undefined;
  for (let i = 0; i < kernel[0]; i++) {
    for (let j = 0; j < kernel[1]; j++) {
      const tap = build("slice", [padded], {
        axes: [2, 3],
        starts: [i, j],
        stops: [i + (outHeight - 1) * stride[0] + 1, j + (outWidth - 1) * stride[1] + 1],
        steps: stride,
      });
      const hit = cast(equal(tap, y), dy.dtype);
      const first: Value = taken === undefined ? hit : mul(hit, sub(1, taken));
      taken = taken === undefined ? first : add(taken, first);
      parts.push(mul(dy, first));
    }
  }
  const tiles = kernel[0] === kernel[1] && kernel[0] === stride[0] && kernel[1] === stride[1];
  const whole = tiles
    ? tile(parts, [batch, channels, outHeight, outWidth], kernel[0], sizes)
    : parts
        .map((part, t) =>
          unslice(part, [
            { axis: 2, start: Math.floor(t / kernel[1]), step: stride[0], size: sizes[2] },
            { axis: 3, start: t % kernel[1], step: stride[1], size: sizes[3] },
          ]),
        )
        .reduce((sum, part) => add(sum, part));
  return slice(slice(whole, 2, padding.top, padding.top + height), 3, padding.left, padding.left + width);
}

/** Windows that tile the picture: the taps are the offsets of a pixel shuffle. Rows no window reached get 0. */
function tile(parts: readonly Value[], [batch, channels, height, width]: Shape4, factor: number, sizes: Shape4): Value {
  const cells = concat(
    parts.map((part) => reshape(part, [batch, channels, 1, height, width])),
    2,
  );
  const shuffled = pixelShuffle(reshape(cells, [batch, channels * factor * factor, height, width]), factor);
  return pad(shuffled, { 2: [0, sizes[2] - height * factor], 3: [0, sizes[3] - width * factor] });
}

/** Each window spreads its gradient evenly over the elements that it averaged. */
function averagePoolGradient(y: ValueOf<"averagePool2d">, dy: Value): Value {
  const { kernel, stride, padding, countIncludePad } = y.attributes;
  const [x] = y.inputs;
  const [batch, channels, height, width] = staticShape(x.shape, "the gradient of averagePool2d") as Shape4;
  const [, , outHeight, outWidth] = staticShape(y.shape, "the gradient of averagePool2d") as Shape4;
  const padded = Object.values(padding).some((amount) => amount > 0);
  const area = kernel[0] * kernel[1];
  // Where padding doesn't count, a pool of ones that counts it gives each window's share of real elements.
  const scaled =
    padded && !countIncludePad
      ? div(dy, mul(averagePool2d(ones(dy, [1, 1, height, width]), kernel, { stride, padding }), area))
      : mul(dy, 1 / area);
  const tiles = kernel[0] === kernel[1] && kernel[0] === stride[0] && kernel[1] === stride[1] && !padded;
  if (tiles) {
    const spread = upsampleNearest2d(scaled, kernel[0]);
    return pad(spread, { 2: [0, height - outHeight * kernel[0]], 3: [0, width - outWidth * kernel[1]] });
  }
  const single = reshape(scaled, [batch * channels, 1, outHeight, outWidth]);
  const spread = convTranspose2d(single, ones(dy, [1, 1, kernel[0], kernel[1]]), {
    stride,
    padding,
    outputPadding: [
      height - ((outHeight - 1) * stride[0] + kernel[0] - padding.top - padding.bottom),
      width - ((outWidth - 1) * stride[1] + kernel[1] - padding.left - padding.right),
    ],
  });
  return reshape(spread, x.shape);
}

function ones(like: Value, shape: readonly number[]): Value {
  const size = shape.reduce((product, dim) => product * dim, 1);
  return constant(new Tensor("float32", allocate("float32", size).fill(1), shape).cast(like.dtype));
}

/** The taps of a filter bank: tap i of all filters meets every stride-th element of the padded axis from i on. */
interface Taps {
  readonly count: number;
  /** Positions along the axis of the output. */
  readonly positions: number;
  /** Size of the padded axis. */
  readonly padded: number;
}

function tapsOf({ inputs: [x, filters], attributes: { axis, before, after }, shape }: ValueOf<"filterBank">): Taps {
  return {
    count: filters.shape[1] as number,
    positions: shape[axis + 1] as number,
    padded: (x.shape[axis] as number) + before + after,
  };
}

/** d loss / d x: what each tap contributes, put back where the tap read, and added up. */
function filterBankInputGradient(y: ValueOf<"filterBank">, dy: Value): Value {
  const [x, filters] = y.inputs;
  const { axis, stride, before } = y.attributes;
  const { count, padded } = tapsOf(y);
  const [filterCount, ...window] = staticShape(dy.shape, "the gradient of filterBank") as [number, ...number[]];
  const perTap = matmul(transpose(filters), reshape(dy, [filterCount, sizeOf(window)]));
  const parts = Array.from({ length: count }, (_, tap) => {
    const part = reshape(slice(perTap, 0, tap, tap + 1), window);
    return unslice(part, [{ axis, start: tap, step: stride, size: padded }]);
  });
  return slice(parts.reduce(add), axis, before, before + (x.shape[axis] as number));
}

/** d loss / d filters [n, k]: a product of dy with what the taps read. */
function filterBankFilterGradient(y: ValueOf<"filterBank">, dy: Value): Value {
  const [x] = y.inputs;
  const { axis, stride, before, after } = y.attributes;
  const { count, positions } = tapsOf(y);
  const [filterCount, ...window] = staticShape(dy.shape, "the gradient of filterBank") as [number, ...number[]];
  const padded = pad(x, { [axis]: [before, after] });
  const read = Array.from({ length: count }, (_, tap) =>
    reshape(slice(padded, axis, tap, tap + (positions - 1) * stride + 1, stride), [1, sizeOf(window)]),
  );
  return matmul(reshape(dy, [filterCount, sizeOf(window)]), transpose(concat(read, 0)));
}

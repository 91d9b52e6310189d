/** Gradients of pooling, composed of slices, comparisons and transposed convolutions. */
import {
  add,
  allocate,
  averagePool2d,
  build,
  cast,
  concat,
  constant,
  convTranspose2d,
  div,
  equal,
  mul,
  pad,
  pixelShuffle,
  reshape,
  slice,
  staticShape,
  sub,
  Tensor,
  upsampleNearest2d,
  type Value,
  type ValueOf,
} from "@dcae/core/graph";
import { unslice } from "./scatter.js";

type Shape4 = readonly [number, number, number, number];

/** What no element wins against: padding of a maximum. */
const LOWEST = -3.4028234663852886e38;

/**
 * The gradient of a window goes to the first of its largest elements (in reading order), as in PyTorch.
 *
 * Tap by tap, `taken` marks windows that have found their maximum.
 */
export function maxPoolGradient(y: ValueOf<"maxPool2d">, dy: Value): Value {
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
export function averagePoolGradient(y: ValueOf<"averagePool2d">, dy: Value): Value {
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

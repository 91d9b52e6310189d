/**
 * Gradients of convolutions, composed of products and convolutions.
 *
 * Input: a convolution of dy with the flipped, transposed weight where the stride is 1 and the picture is large against the
 * channels; otherwise the transposed convolution. Weight: per tap of the kernel one product of dy with the shifted input.
 * The shifts are contiguous: rows of dy are padded to the padded width of x, so that tap (i, j) is x flattened, from element
 * i * width + j on; the padding columns of dy are 0 and cancel what they meet. Layers with fewer pixels than channels take all
 * taps and the whole batch in one product instead (8 x 512 x 8^2: 40 ms against 106, on a busy machine).
 *
 * Measured on ONNX Runtime, 2 cores, 3x3, ms (input: transposed / flipped; weight: convolution with batch and channels
 * swapped / strided slices / contiguous slices per image / contiguous slices, one product for the batch):
 *
 *   4 x  64 x 64^2   15.8 /  9.5    48.7 / 32.5 / 27.5 / 34.3
 *   4 x 128 x 32^2   31.1 / 17.2    66.1 / 26.3 /  9.9 / 10.9
 *   4 x 256 x 16^2    9.1 / 10.0    20.4 /  9.5 /  9.7 / 10.0
 *   8 x 512 x  8^2   18.4 / 26.5    30.7 / 23.1 / 25.7 / 23.7
 *   1 x  32 x 256^2  31.0 / 21.0   113.5 / 43.1 / 36.2 / 68.3
 */
import {
  build,
  type ConvAttributes,
  concat,
  conv2d,
  convTranspose2d,
  fastPixelShuffle,
  fastPixelUnshuffle,
  matmul,
  mul,
  type Padding2d,
  pad,
  pixelShuffle,
  reduceSum,
  reshape,
  slice,
  staticShape,
  transpose,
  type Value,
} from "@dcae/core/graph";
import { reverse } from "./adjoints.js";
import type { GradientForms } from "./gradient-rule.js";

type Shape4 = readonly [number, number, number, number];

function shape4(x: Value, what: string): Shape4 {
  return staticShape(x.shape, what) as Shape4;
}

/** The kernel as its adjoint at stride 1 needs it: taps reversed, input and output channels swapped within each group. */
function adjointKernel(weight: Value, groups: number): Value {
  const [out, inPerGroup, height, width] = shape4(weight, "the gradient of conv2d");
  const taps = reverse(reshape(weight, [groups, out / groups, inPerGroup, height * width]), 3);
  return reshape(transpose(taps, [0, 2, 1, 3]), [groups * inPerGroup, out / groups, height, width]);
}

/** d loss / d x of `conv2d(x, weight)`, from dy. */
export function convolutionInputGradient(
  dy: Value,
  weight: Value,
  xShape: Shape4,
  attributes: ConvAttributes,
  forms: GradientForms,
): Value {
  const { stride, padding, dilation, groups } = attributes;
  const [out, , height, width] = shape4(weight, "the gradient of conv2d");
  const extents = [(height - 1) * dilation[0] + 1, (width - 1) * dilation[1] + 1] as const;
  const flipped: Padding2d = {
    top: extents[0] - 1 - padding.top,
    bottom: extents[0] - 1 - padding.bottom,
    left: extents[1] - 1 - padding.left,
    right: extents[1] - 1 - padding.right,
  };
  const pixels = xShape[2] * xShape[3];
  const unit = stride[0] === 1 && stride[1] === 1 && Object.values(flipped).every((amount) => amount >= 0);
  const [step] = stride;
  const byConvolutions = forms.input === "convolutions" && groups === 1 && height * width > 1;
  if (unit && (groups > 1 || byConvolutions || pixels >= Math.max(out, xShape[1]))) {
    return conv2d(dy, adjointKernel(weight, groups), { padding: flipped, dilation, groups });
  }
  const undilated = dilation[0] === 1 && dilation[1] === 1;
  if (byConvolutions && undilated && step > 1 && step === stride[1] && Math.min(height, width) >= step) {
    return stridedInputGradient(dy, weight, xShape, attributes);
  }
  const [, , outHeight, outWidth] = shape4(dy, "the gradient of conv2d");
  return convTranspose2d(dy, weight, {
    stride,
    padding,
    dilation,
    groups,
    // Rows and columns that the last window didn't reach.
    outputPadding: [
      xShape[2] - ((outHeight - 1) * stride[0] + extents[0] - padding.top - padding.bottom),
      xShape[3] - ((outWidth - 1) * stride[1] + extents[1] - padding.left - padding.right),
    ],
  });
}

/** One axis of a strided convolution, at the positions of x that leave the rest `phase` when divided by the stride. */
interface Phase {
  /** The first of the taps that meet such positions; they are a stride apart. */
  readonly first: number;
  readonly taps: number;
  /** Zeros before and after dy, or what is cut off where negative, so that the convolution gives `size` positions. */
  readonly before: number;
  readonly after: number;
}

function phaseOf(phase: number, step: number, kernel: number, padding: number, size: number, outSize: number): Phase {
  const first = (phase + padding) % step;
  const shift = Math.floor((phase + padding) / step);
  const taps = Math.ceil((kernel - first) / step);
  return { first, taps, before: taps - 1 - shift, after: size - outSize + shift };
}

/** A position of x meets every step-th tap only, so that positions of one phase are a convolution of dy with these taps. */
function stridedInputGradient(dy: Value, weight: Value, xShape: Shape4, attributes: ConvAttributes): Value {
  const { padding } = attributes;
  const [step] = attributes.stride;
  const [batch, channels, height, width] = xShape;
  const [, , kernelHeight, kernelWidth] = shape4(weight, "the gradient of conv2d");
  const [, , outHeight, outWidth] = shape4(dy, "the gradient of conv2d");
  const [rows, columns] = [Math.ceil(height / step), Math.ceil(width / step)];
  const kernel = transpose(weight, [1, 0, 2, 3]);
  const convolved = (i: number, j: number): Value => {
    const vertical = phaseOf(i, step, kernelHeight, padding.top, rows, outHeight);
    const horizontal = phaseOf(j, step, kernelWidth, padding.left, columns, outWidth);
    const taps = slice(slice(kernel, 2, vertical.first, undefined, step), 3, horizontal.first, undefined, step);
    const positive = (amount: number) => Math.max(amount, 0);
    const cut = slice(
      slice(dy, 2, positive(-vertical.before), outHeight - positive(-vertical.after)),
      3,
      positive(-horizontal.before),
      outWidth - positive(-horizontal.after),
    );
    const result = conv2d(cut, reverse(reverse(taps, 2), 3), {
      padding: {
        top: positive(vertical.before),
        bottom: positive(vertical.after),
        left: positive(horizontal.before),
        right: positive(horizontal.after),
      },
    });
    return reshape(result, [batch, channels, 1, rows, columns]);
  };
  const phases = Array.from({ length: step * step }, (_, k) => convolved(Math.floor(k / step), k % step));
  const cells = reshape(concat(phases, 2), [batch, channels * step * step, rows, columns]);
  return slice(slice(fastPixelShuffle(cells, step), 2, 0, height), 3, 0, width);
}

/** d loss / d weight of `conv2d(x, weight)`, in the shape of the weight [O, I/groups, kh, kw]. */
export function convolutionWeightGradient(
  x: Value,
  dy: Value,
  weightShape: Shape4,
  attributes: ConvAttributes,
  forms: GradientForms,
): Value {
  const { padding, stride, dilation, groups } = attributes;
  const channels = x.shape[1] as number;
  if (forms.depthwise === "convolution" && groups === channels && groups === weightShape[0]) {
    return depthwiseConvolution(x, dy, weightShape, attributes);
  }
  const padded = pad(x, { 2: [padding.top, padding.bottom], 3: [padding.left, padding.right] });
  const [step] = stride;
  if (step > 1 && step === stride[1] && groups === 1 && dilation[0] === 1 && dilation[1] === 1) {
    return strideToChannels(padded, dy, weightShape, step);
  }
  return stride[0] === 1 && stride[1] === 1
    ? contiguousTaps(padded, dy, weightShape, attributes)
    : stridedTaps(padded, dy, weightShape, attributes);
}

/**
 * Depthwise: each channel of each image is convolved with its gradient as the filter, whose steps are the forward pass's
 * dilation and the other way round; then the images are added up.
 */
function depthwiseConvolution(x: Value, dy: Value, weightShape: Shape4, attributes: ConvAttributes): Value {
  const { padding, stride, dilation } = attributes;
  const [batch, channels, height, width] = shape4(x, "the gradient of conv2d");
  const [, , outHeight, outWidth] = shape4(dy, "the gradient of conv2d");
  const [, , kernelHeight, kernelWidth] = weightShape;
  const groups = batch * channels;
  const taps = conv2d(reshape(x, [1, groups, height, width]), reshape(dy, [groups, 1, outHeight, outWidth]), {
    stride: dilation,
    dilation: stride,
    padding,
    groups,
  });
  // Rows and columns that the last window of a stride didn't reach give taps beyond the kernel.
  const kernel = slice(slice(taps, 2, 0, kernelHeight), 3, 0, kernelWidth);
  return reshape(reduceSum(reshape(kernel, [batch, channels * kernelHeight * kernelWidth]), 0), weightShape);
}

/** A convolution of stride s is one of stride 1 on the input with s x s cells moved to channels. */
function strideToChannels(padded: Value, dy: Value, weightShape: Shape4, step: number): Value {
  const [out, channels, height, width] = weightShape;
  const [, , outHeight, outWidth] = shape4(dy, "the gradient of conv2d");
  const [rows, columns] = [Math.ceil(height / step), Math.ceil(width / step)];
  // The windows' reach in whole cells: more is cut off, less is filled up with zeros.
  const cells = fitTo(padded, (outHeight - 1 + rows) * step, (outWidth - 1 + columns) * step);
  const unit: ConvAttributes = {
    stride: [1, 1],
    dilation: [1, 1],
    groups: 1,
    padding: { top: 0, left: 0, bottom: 0, right: 0 },
  };
  const folded = contiguousTaps(
    fastPixelUnshuffle(cells, step),
    dy,
    [out, channels * step * step, rows, columns],
    unit,
  );
  return slice(slice(pixelShuffle(folded, step), 2, 0, height), 3, 0, width);
}

function fitTo(x: Value, height: number, width: number): Value {
  const [, , h, w] = shape4(x, "the gradient of conv2d");
  const filled = pad(x, { 2: [0, Math.max(height - h, 0)], 3: [0, Math.max(width - w, 0)] });
  return slice(slice(filled, 2, 0, height), 3, 0, width);
}

function contiguousTaps(padded: Value, dy: Value, weightShape: Shape4, { dilation, groups }: ConvAttributes): Value {
  const [out, inPerGroup, kernelHeight, kernelWidth] = weightShape;
  const [batch, channels, height, width] = shape4(padded, "the gradient of conv2d");
  const [, , outHeight, outWidth] = shape4(dy, "the gradient of conv2d");
  const gap = width - outWidth;
  const taps: Value[] = [];
  // Per image the products of a deep layer would each be as large as the weight.
  if (groups === 1 && outHeight * outWidth < out) return deepProduct(padded, dy, weightShape, dilation);
  const length = outHeight * width - gap;
  const rows = reshape(pad(dy, { 3: [0, gap] }), [batch, out, outHeight * width]);
  const gradient = slice(rows, 2, 0, length);
  const flat = reshape(padded, [batch, channels, height * width]);
  for (let i = 0; i < kernelHeight; i++) {
    for (let j = 0; j < kernelWidth; j++) {
      const offset = i * dilation[0] * width + j * dilation[1];
      taps.push(tapProduct(gradient, slice(flat, 2, offset, offset + length), groups));
    }
  }
  return stackTaps(taps, [out, inPerGroup, kernelHeight, kernelWidth]);
}

/**
 * Deep layers, with many channels on few pixels: one product for all taps and the whole batch. Vertical shifts are made of x,
 * horizontal ones of dy, so that every pair of shifts is a block of the product.
 */
function deepProduct(padded: Value, dy: Value, weightShape: Shape4, dilation: ConvAttributes["dilation"]): Value {
  const [out, channels, kernelHeight, kernelWidth] = weightShape;
  const [batch, , , width] = shape4(padded, "the gradient of conv2d");
  const [, , outHeight, outWidth] = shape4(dy, "the gradient of conv2d");
  const gap = width - outWidth;
  const wide = (shifts: readonly Value[]): Value => {
    const joined = transpose(concat(shifts, 1), [1, 0, 2, 3]);
    return reshape(joined, [joined.shape[0] as number, batch * outHeight * width]);
  };
  const rows = Array.from({ length: kernelHeight }, (_, i) =>
    slice(padded, 2, i * dilation[0], i * dilation[0] + outHeight),
  );
  const columns = Array.from({ length: kernelWidth }, (_, j) =>
    pad(dy, { 3: [j * dilation[1], gap - j * dilation[1]] }),
  );
  const product = matmul(wide(columns), transpose(wide(rows)));
  return transpose(reshape(product, [kernelWidth, out, kernelHeight, channels]), [1, 3, 2, 0]);
}

/** Strided slices: for the strides that strideToChannels doesn't cover. */
function stridedTaps(padded: Value, dy: Value, weightShape: Shape4, attributes: ConvAttributes): Value {
  const { stride, dilation, groups } = attributes;
  const [out, , kernelHeight, kernelWidth] = weightShape;
  const [batch, channels] = shape4(padded, "the gradient of conv2d");
  const [, , outHeight, outWidth] = shape4(dy, "the gradient of conv2d");
  const gradient = reshape(dy, [batch, out, outHeight * outWidth]);
  const taps: Value[] = [];
  for (let i = 0; i < kernelHeight; i++) {
    for (let j = 0; j < kernelWidth; j++) {
      const [top, left] = [i * dilation[0], j * dilation[1]];
      const tap = build("slice", [padded], {
        axes: [2, 3],
        starts: [top, left],
        stops: [top + (outHeight - 1) * stride[0] + 1, left + (outWidth - 1) * stride[1] + 1],
        steps: stride,
      });
      taps.push(tapProduct(gradient, reshape(tap, [batch, channels, outHeight * outWidth]), groups));
    }
  }
  return stackTaps(taps, weightShape);
}

/** Sum over images and pixels of dy [N, O, L] times x [N, I, L], within groups: [O, I/groups]. */
function tapProduct(dy: Value, x: Value, groups: number): Value {
  const [batch, out, length] = dy.shape as readonly [number, number, number];
  const inPerGroup = (x.shape[1] as number) / groups;
  // One channel per group: a product of vectors, elementwise and summed.
  if (inPerGroup === 1 && out === groups) return reshape(reduceSum(reduceSum(mul(dy, x), 2), 0), [out, 1]);
  const left = groups === 1 ? dy : reshape(dy, [batch, groups, out / groups, length]);
  const right = groups === 1 ? x : reshape(x, [batch, groups, inPerGroup, length]);
  const product = matmul(left, transpose(right));
  return reshape(batch === 1 ? product : reduceSum(product, 0), [out, inPerGroup]);
}

function stackTaps(taps: readonly Value[], weightShape: Shape4): Value {
  const [out, inPerGroup] = weightShape;
  const rows = concat(
    taps.map((tap) => reshape(tap, [1, out * inPerGroup])),
    0,
  );
  return reshape(taps.length === 1 ? rows : transpose(rows), weightShape);
}

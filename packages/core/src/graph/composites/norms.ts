/**
 * Normalizations as composites.
 *
 * Differentiated op by op, a norm passes over its tensor once per op and once more for every sum of partial gradients: RMS
 * normalization with its scale and bias in 17 passes, where its derivative as a whole takes 6.
 */
import { type Dim, dimDivide, isStaticShape } from "../dim.js";
import { shapeError } from "../infer/rule.js";
import {
  add,
  channelAffine,
  constant,
  div,
  mul,
  pow,
  reduceMean,
  reduceSum,
  sqrt,
  square,
  standardize,
  sub,
} from "../ops/elementwise.js";
import { reshape } from "../ops/layout.js";
import { matmul } from "../ops/linear.js";
import { Tensor } from "../tensor.js";
import type { Value } from "../value.js";
import type { CompositeAttributes, CompositeRow, NormAttributes } from "./composite-row.js";

const isLast = (x: Value, axis: number): boolean => axis === x.shape.length - 1;

/** [C] as it broadcasts along `axis` of x. */
function along(vector: Value, x: Value, axis: number): Value {
  if (vector.shape.length !== 1) throw shapeError("norm", [x, vector], "needs weights [C]");
  return reshape(vector, [x.shape[axis] as Dim, ...Array<number>(x.shape.length - 1 - axis).fill(1)]);
}

/** The mean over `axis`, which stays with size 1. */
function meanOver(x: Value, axis: number, form: NormAttributes["mean"]): Value {
  const kept = x.shape.map((dim, i) => (i === axis ? 1 : dim));
  if (form === "reduction") return reduceMean(x, axis, { keepDims: true });
  return reshape(rowProduct(1, x, axis), kept);
}

/** The mean over channels of `weight` (a number, or a value per channel) times x [N, C, H, W], as [N, 1, H*W]. */
function rowProduct(weight: number | Value, x: Value, axis: number): Value {
  const [batch, channels, height, width] = x.shape as readonly [number, number, number, number];
  if (axis !== 1 || x.shape.length !== 4) throw shapeError("rmsNorm", [x], "means are products over channels only");
  const row =
    typeof weight === "number"
      ? constant(Tensor.full([1, channels], weight / channels))
      : reshape(mul(weight, 1 / channels), [1, channels]);
  return matmul(row, reshape(x, [batch, channels, height * width]));
}

/** The sum over all axes but one. */
function sumBeside(x: Value, axis: number): Value {
  return reduceSum(
    x,
    [...x.shape.keys()].filter((other) => other !== axis),
  );
}

const isPicture = (x: Value, axis: number): boolean =>
  isStaticShape(x.shape) && x.shape.length === 4 && axis === 1 && x.dtype === "float32";

function channelNorm<K extends "rmsNorm" | "layerNorm">(): Pick<
  CompositeRow<K>,
  "half" | "tile" | "channelsLast" | "cpu"
> {
  // Both have the attributes of norms; TypeScript doesn't see that through the generic name.
  const change = (changed: Partial<NormAttributes>) => changed as Partial<CompositeAttributes<K>>;
  return {
    half: "float32",
    // Norms over channels look at one pixel at a time.
    tile: {
      fits: ({ inputs: [x], attributes: { attributes } }) => x.shape.length === 4 && attributes.axis === 1,
      layout: (_, [x, ...vectors]) =>
        x?.kind === "picture" && vectors.every(({ kind }) => kind === "none") ? x : undefined,
    },
    channelsLast: ({ attributes: { attributes } }, inputs, make) =>
      attributes.axis === 1 ? make(inputs, change({ axis: 3, mean: "reduction" })) : undefined,
    // The runtime reduces an axis that isn't the last one with strided reads; a product reads rows, at several times the speed.
    cpu: ({ inputs: [x], attributes: { attributes } }, inputs, make) =>
      make(inputs, change({ mean: isPicture(x, attributes.axis) ? "product" : attributes.mean })),
  };
}

export const rmsNorm: CompositeRow<"rmsNorm"> = {
  body([x, weight, bias], { axis, eps, mean }) {
    // Of a power over the last axis, ONNX Runtime makes one operator.
    const squares = isLast(x, axis) ? pow(x, 2) : square(x);
    const root = sqrt(add(meanOver(squares, axis, mean), eps));
    const normalized = div(x, root);
    const scale = along(weight, x, axis);
    return { result: add(mul(normalized, scale), along(bias, x, axis)), parts: { normalized, root, scale } };
  },
  /**
   * With n = x / r:
   *
   *     dx = (dy w - n m) / r,   m = mean over channels of dy w n
   */
  gradient({ inputs: [x, weight], attributes: { attributes, body } }, dy) {
    const { axis } = attributes;
    if (!isPicture(x, axis)) return undefined;
    const { normalized, root, scale } = body.parts;
    const product = mul(dy, normalized);
    const dx = () => {
      const mean = reshape(rowProduct(weight, product, axis), root.shape);
      return div(sub(mul(dy, scale), mul(normalized, mean)), root);
    };
    return [dx, () => sumBeside(product, axis), () => sumBeside(dy, axis)];
  },
  ...channelNorm(),
};

export const layerNorm: CompositeRow<"layerNorm"> = {
  body([x, weight, bias], { axis, eps, mean }) {
    const centered = sub(x, meanOver(x, axis, mean));
    const root = sqrt(add(meanOver(square(centered), axis, mean), eps));
    const normalized = div(centered, root);
    const scaled = weight === undefined ? normalized : mul(normalized, along(weight, x, axis));
    return {
      result: bias === undefined ? scaled : add(scaled, along(bias, x, axis)),
      parts: { normalized, root },
    };
  },
  lower({ inputs: [x, weight, bias], attributes: { attributes } }) {
    const { axis, eps } = attributes;
    const size = x.shape[axis];
    if (!isLast(x, axis) || typeof size !== "number") return undefined;
    return {
      opType: "LayerNormalization",
      inputs: [x, weight ?? Tensor.full([size], 1).cast(x.dtype), ...(bias === undefined ? [] : [bias])],
      attributes: { axis: { type: "int", value: -1 }, epsilon: { type: "float", value: eps } },
    };
  },
  /**
   * With n = (x - mean) / r and dn = dy w:
   *
   *     dx = (dn - mean(dn) - n mean(dn n)) / r
   */
  gradient({ inputs: [x, weight], attributes: { attributes, body } }, dy) {
    const { axis, mean } = attributes;
    const { normalized, root } = body.parts;
    const over = (value: Value) => meanOver(value, axis, mean);
    const dx = () => {
      const dn = weight === undefined ? dy : mul(dy, along(weight, x, axis));
      return div(sub(sub(dn, over(dn)), mul(normalized, over(mul(dn, normalized)))), root);
    };
    if (weight === undefined) return [dx];
    return [dx, () => sumBeside(mul(dy, normalized), axis), () => sumBeside(dy, axis)];
  },
  ...channelNorm(),
};

/** ONNX has it as a function only, which the runtime takes apart again. */
export const groupNorm: CompositeRow<"groupNorm"> = {
  body([x, weight, bias], { groups, eps }) {
    if (x.shape.length !== 4) throw shapeError("groupNorm", [x], "needs [N, C, H, W]");
    const [batch, channels, height, width] = x.shape as readonly [Dim, Dim, Dim, Dim];
    const perGroup = dimDivide(channels, groups);
    if (perGroup === undefined) throw shapeError("groupNorm", [x], `channels don't divide into ${groups} groups`);
    const grouped = reshape(x, [batch, groups, perGroup, height, width]);
    const normalized = reshape(standardize(grouped, [2, 3, 4], eps), x.shape);
    return { result: channelAffine(normalized, weight, bias), parts: {} };
  },
  half: "float32",
};

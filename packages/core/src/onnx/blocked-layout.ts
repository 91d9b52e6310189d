/**
 * Depthwise convolutions in the blocked layout of ONNX Runtime's CPU kernels.
 *
 * With constant weights the runtime does this by itself (its NCHWc transformer): channels are stored in blocks of as many as a
 * vector register holds, [N, C/b, H, W, b], and a depthwise convolution works on a block at once. Weights that change between
 * runs, as in training, leave the plain path, which unfolds every channel on its own into a product with a single row. Here the
 * blocked nodes are written down directly. Milliseconds on one core (plain / blocked, with both changes of layout):
 *
 *   8 x 1024 at 16^2, 3x3                                   4.0 / 1.3
 *   8 x 1024 at  8^2, 3x3                                   1.7 / 0.2
 *   its weight gradient at 16^2, a 16x16 kernel, 3x3 out   16.5 / 2.2
 *
 * The layout of filters [G, 1, h, w] is the layout of pictures [1, G, h, w], so that a picture may serve as a filter, and
 * batches may become groups, without another change of layout: that is what a weight gradient is.
 *
 * The nodes are of the runtime's own domain, which comes with no promise. So models with them live in a session and are never
 * exported, and an engine asks the runtime first (runtime/probe-block-size.ts).
 */
import { isStaticShape } from "../graph/dim.js";
import type { Value, ValueOf } from "../graph/value.js";
import type { LoweringContext } from "./lowering.js";

const DOMAIN = "com.microsoft.nchwc";

type Shape4 = readonly [number, number, number, number];

export interface BlockedLayout {
  /** The name of the convolution's result, or undefined where it has no blocked form. */
  depthwise(value: ValueOf<"conv2d">): string | undefined;
}

export interface BlockedOptions {
  /** Channels per block. */
  readonly block: number;
  /** The ONNX name of a value that is lowered already. */
  nameOf(value: Value): string;
  /** Whether the runtime can compute the value when it loads the model. */
  isConstant(value: Value): boolean;
}

export function blockedLayout(context: Pick<LoweringContext, "emit" | "ints">, options: BlockedOptions): BlockedLayout {
  const { emit, ints } = context;
  const { block, nameOf, isConstant } = options;
  /** Blocked forms, by value and by the shape [N, C, H, W] that they are taken in. */
  const known = new Map<Value, Map<string, string>>();

  /** `value`, whose elements are those of [N, C, H, W] in that order, in the blocked layout. C must be a multiple of the block. */
  function toBlocked(value: Value, shape: Shape4): string {
    const forms = known.get(value) ?? new Map<string, string>();
    known.set(value, forms);
    const name = forms.get(shape.join()) ?? convert(value, shape);
    forms.set(shape.join(), name);
    return name;
  }

  function convert(value: Value, shape: Shape4): string {
    const inner = value.op === "reshape" ? value.inputs[0] : value;
    const source = inner.shape as readonly number[];
    const samePicture = source.length === 4 && source[2] === shape[2] && source[3] === shape[3];
    // Blocks stay whole where only batch and channels are counted otherwise: then one change of layout serves both.
    if (samePicture && (source[1] as number) % block === 0 && source.join() !== shape.join()) {
      return emit("Reshape", [toBlocked(inner, source as Shape4), ints(shape)]);
    }
    const plain = value.shape.join() === shape.join() ? nameOf(value) : emit("Reshape", [nameOf(value), ints(shape)]);
    return emit("ReorderInput", [plain], {}, DOMAIN);
  }

  return {
    depthwise(value) {
      const [x, weight, bias] = value.inputs;
      const { stride, padding, dilation, groups } = value.attributes;
      if (!isStaticShape(x.shape) || value.dtype !== "float32" || isConstant(weight)) return undefined;
      const [, channels] = x.shape as Shape4;
      const [out, , height, width] = weight.shape as Shape4;
      if (groups !== channels || out !== channels || channels % block !== 0) return undefined;
      const filter = toBlocked(weight, [1, groups, height, width]);
      const inputs = [toBlocked(x, x.shape as Shape4), emit("Reshape", [filter, ints([groups, 1, height, width])])];
      const blocked = emit(
        "Conv",
        bias === undefined ? inputs : [...inputs, nameOf(bias)],
        {
          kernel_shape: [height, width],
          strides: stride,
          pads: [padding.top, padding.left, padding.bottom, padding.right],
          dilations: dilation,
          group: groups,
        },
        DOMAIN,
      );
      known.set(value, new Map([[value.shape.join(), blocked]]));
      return emit("ReorderOutput", [blocked], { channels }, DOMAIN);
    },
  };
}

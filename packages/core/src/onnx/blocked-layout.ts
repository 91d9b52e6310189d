/**
 * Convolutions in the blocked layout of ONNX Runtime's CPU kernels.
 *
 * With constant weights the runtime does this by itself (its NCHWc transformer): channels are stored in blocks of as many as a
 * vector register holds, [N, C/b, H, W, b], and a convolution works on whole blocks, without unfolding windows. Weights that
 * change between runs, as in training, leave the plain path, which unfolds, and a depthwise convolution even channel by
 * channel. Here the blocked nodes are written down directly. Milliseconds on one core (plain / blocked, with both changes of
 * layout and that of the weights):
 *
 *   depthwise, 8 x 1024 at 16^2                                     4.0 / 1.3
 *   depthwise, 8 x 1024 at  8^2                                     1.7 / 0.2
 *   the weight gradient of the first, 16x16 kernels, 3x3 outputs   16.5 / 2.2
 *   8 x  32 ->  32 at 64^2                                          4.1 / 2.8
 *   4 x  64 ->  64 at 64^2                                          6.5 / 5.2
 *   4 x 256 -> 256 at 16^2                                          5.4 / 5.3
 *   8 x  32 ->  64 at 64^2, 4x4 kernel, stride 2                    3.7 / 2.4
 *
 * 1x1 kernels are products as they are, which blocks don't improve.
 *
 * The layout of depthwise filters [G, 1, h, w] is the layout of pictures [1, G, h, w], so that a picture may serve as a filter,
 * and batches may become groups, without another change of layout: that is what a weight gradient is.
 *
 * The nodes are of the runtime's own domain, which comes with no promise. So models with them live in a session and are never
 * exported, and an engine asks the runtime first (runtime/probe-block-size.ts).
 */
import { isStaticShape } from "../graph/dim.js";
import type { Value, ValueOf } from "../graph/value.js";
import type { LoweringContext } from "./lowerings.js";

const DOMAIN = "com.microsoft.nchwc";

type Shape4 = readonly [number, number, number, number];

export interface BlockedLayout {
  /** The name of the convolution's result, or undefined where it has no blocked form or gains nothing by it. */
  convolution(value: ValueOf<"conv2d">): string | undefined;
}

export interface BlockedOptions {
  /** Channels per block. */
  readonly block: number;
  /** The ONNX name of a value that is lowered already. */
  nameOf(value: Value): string;
  /** Whether the runtime can compute the value when it loads the model. */
  isConstant(value: Value): boolean;
}

/** Operands of a blocked convolution. */
interface Operands {
  readonly input: string;
  readonly filter: string;
}

export function blockedLayout(context: Pick<LoweringContext, "emit" | "ints">, options: BlockedOptions): BlockedLayout {
  const { emit, ints } = context;
  const { block, nameOf, isConstant } = options;
  /** Blocked forms, by value and by the shape [N, C, H, W] that they are taken in. */
  const known = new Map<Value, Map<string, string>>();
  const whole = (channels: number) => channels % block === 0;
  const filled = (channels: number) => Math.ceil(channels / block) * block;
  const reorder = (name: string) => emit("ReorderInput", [name], {}, DOMAIN);
  const view = (name: string, shape: readonly number[]) => emit("Reshape", [name, ints(shape)]);

  /** `value`, whose elements are those of [N, C, H, W] in that order, in the blocked layout. C must be whole blocks. */
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
    if (samePicture && whole(source[1] as number) && source.join() !== shape.join()) {
      return view(toBlocked(inner, source as Shape4), shape);
    }
    return reorder(value.shape.join() === shape.join() ? nameOf(value) : view(nameOf(value), shape));
  }

  function depthwise(x: Value, weight: Value): Operands {
    const [groups, , height, width] = weight.shape as Shape4;
    return {
      input: toBlocked(x, x.shape as Shape4),
      filter: view(toBlocked(weight, [1, groups, height, width]), weight.shape as Shape4),
    };
  }

  /** [O, I, h, w] to [O/b, I/b, h, w, b of I, b of O]; with less than a block of inputs, to [O/b, I, h, w, b of O]. */
  function denseFilter(weight: Value): string {
    const [out, inputs, height, width] = weight.shape as Shape4;
    const [area, shape] = [height * width, [filled(out), inputs, height, width]];
    // As a picture of height I*h*w, the outputs come into blocks.
    const outputs = reorder(view(nameOf(weight), [1, out, inputs * area, 1]));
    if (inputs < block) return view(outputs, shape);
    const cells = view(outputs, [(filled(out) / block) * (inputs / block), block, area, block]);
    return view(emit("Transpose", [cells], { perm: [0, 2, 1, 3] }), shape);
  }

  function dense(x: Value, weight: Value): Operands {
    // Few channels are read as they lie, each for itself.
    const input = (x.shape[1] as number) < block ? nameOf(x) : toBlocked(x, x.shape as Shape4);
    return { input, filter: denseFilter(weight) };
  }

  function operandsOf(x: Value, weight: Value, groups: number): Operands | undefined {
    const channels = x.shape[1] as number;
    const [out, , height, width] = weight.shape as Shape4;
    if (groups === channels && groups === out && whole(channels)) return depthwise(x, weight);
    // The runtime reorders channels by fours.
    const fits = groups === 1 && (channels < block || whole(channels)) && out % 4 === 0;
    return fits && height * width > 1 ? dense(x, weight) : undefined;
  }

  return {
    convolution(value) {
      const [x, weight, bias] = value.inputs;
      const { stride, padding, dilation, groups } = value.attributes;
      if (!isStaticShape(x.shape) || value.dtype !== "float32" || isConstant(weight)) return undefined;
      const operands = operandsOf(x, weight, groups);
      if (operands === undefined) return undefined;
      const [channels, , height, width] = weight.shape as Shape4;
      const missing = filled(channels) - channels;
      const inputs = [operands.input, operands.filter];
      if (bias !== undefined) {
        inputs.push(missing === 0 ? nameOf(bias) : emit("Pad", [nameOf(bias), ints([0, missing])]));
      }
      const attributes = {
        kernel_shape: [height, width],
        strides: stride,
        pads: [padding.top, padding.left, padding.bottom, padding.right],
        dilations: dilation,
        group: groups,
      };
      const blocked = emit("Conv", inputs, attributes, DOMAIN);
      if (missing === 0) known.set(value, new Map([[value.shape.join(), blocked]]));
      return emit("ReorderOutput", [blocked], { channels }, DOMAIN);
    },
  };
}

/**
 * Reflection padding of the last two axes, as PyTorch's `pad(mode="reflect")` (the edge isn't repeated: 2 1 | 0 1 2 | 1 0).
 *
 * PyTorch refuses a padding of the side's length or more; here the reflection goes back and forth as often as needed, so
 * that tiny pictures work too. A side of one pixel has nothing to reflect: the pixel is repeated.
 */
import { ShapeError } from "../errors.js";
import { Tensor } from "../graph/tensor.js";

/** Rows and columns to add. */
export interface Padding {
  readonly top?: number;
  readonly bottom?: number;
  readonly left?: number;
  readonly right?: number;
}

/** Source index of each position -before .. length + after - 1. */
function reflectedIndices(length: number, before: number, after: number): Int32Array {
  const period = Math.max(2 * (length - 1), 1);
  return Int32Array.from({ length: before + length + after }, (_, i) => {
    const position = (((i - before) % period) + period) % period;
    return position < length ? position : period - position;
  });
}

/**
 * A float32 tensor [..., H, W] padded to [..., top + H + bottom, left + W + right].
 *
 * @throws ShapeError when the tensor has no pixels or a padding isn't a non-negative integer
 */
export function reflectPad(tensor: Tensor, padding: Padding): Tensor<"float32"> {
  const { top = 0, bottom = 0, left = 0, right = 0 } = padding;
  if (![top, bottom, left, right].every((size) => Number.isSafeInteger(size) && size >= 0)) {
    throw new ShapeError(`reflectPad: paddings must be non-negative integers, got ${JSON.stringify(padding)}`);
  }
  const height = tensor.shape.at(-2) ?? 0;
  const width = tensor.shape.at(-1) ?? 0;
  if (tensor.size === 0 || height < 1) {
    throw new ShapeError(`reflectPad: expected a tensor [..., H, W], got [${tensor.shape.join(", ")}]`);
  }
  const rows = reflectedIndices(height, top, bottom);
  const columns = reflectedIndices(width, left, right);
  const data = tensor.toFloat32();
  const planes = tensor.size / (height * width);
  const out = new Float32Array(planes * rows.length * columns.length);
  let to = 0;
  for (let plane = 0; plane < planes; plane++) {
    for (const y of rows) {
      const from = (plane * height + y) * width;
      for (const x of columns) out[to++] = data[from + x] as number;
    }
  }
  return new Tensor("float32", out, [...tensor.shape.slice(0, -2), rows.length, columns.length]);
}

/**
 * How 8-bit pictures enter the metric networks: as bytes, so that an eighth of a float tensor has to be moved, and resized in the
 * graph as the networks' pipelines do it: few taps at fixed positions, no antialiasing.
 *
 * Not to be confused with picture resizing (`resizeImage` of core), which is antialiased and rounds to 8 bits. Both axes
 * are resampled one after the other; a tap is a gather with a weight. Source: evaluation.md sections 2 and 7.
 */
import { type Image, ShapeError, Tensor } from "@dcae/core";
import { add, cast, constant, gather, input, mul, transpose, type Value } from "@dcae/core/graph";

/** An input of 8-bit pictures [N, H, W, 3], as float32 [N, 3, H, W] with values 0 to 255. */
export function pictureInput(name: string, count: number, height: number, width: number): Value {
  return transpose(cast(input(name, [count, height, width, 3], "uint8"), "float32"), [0, 3, 1, 2]);
}

/**
 * Pictures of one size as such an input. With `count`, the last picture is repeated up to that number.
 *
 * @throws ShapeError when there is no picture, sizes differ, or there are more than `count`
 */
export function picturesToTensor(images: readonly Image[], count = images.length): Tensor<"uint8"> {
  const [first] = images;
  if (first === undefined || images.length > count) {
    throw new ShapeError(`picturesToTensor: ${images.length} pictures for a batch of ${count}`);
  }
  const { width, height } = first;
  const size = width * height * 3;
  const data = new Uint8Array(count * size);
  for (let i = 0; i < count; i++) {
    const image = images[Math.min(i, images.length - 1)] as Image;
    if (image.width !== width || image.height !== height) {
      throw new ShapeError(
        `picturesToTensor: picture ${i} is ${image.width}x${image.height}, picture 0 is ${width}x${height}`,
      );
    }
    data.set(image.data, i * size);
  }
  return new Tensor("uint8", data, [count, height, width, 3]);
}

/**
 * - `bilinear`: half-pixel centers (PyTorch's `interpolate`, align_corners false)
 * - `bilinear-tf1`: source = index * in / out, without the half pixel (TensorFlow 1)
 * - `bicubic`: half-pixel centers, a = -0.75
 */
export type TensorResize = "bilinear" | "bilinear-tf1" | "bicubic";

/** A source position and a weight for each output position. */
interface Tap {
  readonly indices: Int32Array;
  readonly weights: Float32Array;
}

const CUBIC_A = -0.75;

function cubic(distance: number): number {
  const d = Math.abs(distance);
  if (d <= 1) return ((CUBIC_A + 2) * d - (CUBIC_A + 3)) * d * d + 1;
  return d < 2 ? CUBIC_A * (((d - 5) * d + 8) * d - 4) : 0;
}

/** Taps of one axis. Positions outside of the picture take the edge. */
function resampleTaps(from: number, to: number, kind: TensorResize): readonly Tap[] {
  const scale = from / to;
  const offsets = kind === "bicubic" ? [-1, 0, 1, 2] : [0, 1];
  const center = (i: number) => {
    if (kind === "bilinear-tf1") return i * scale;
    const position = (i + 0.5) * scale - 0.5;
    return kind === "bilinear" ? Math.max(position, 0) : position;
  };
  return offsets.map((offset) => {
    const indices = new Int32Array(to);
    const weights = new Float32Array(to);
    for (let i = 0; i < to; i++) {
      const position = center(i);
      const base = Math.floor(position);
      const rest = position - base;
      indices[i] = Math.min(Math.max(base + offset, 0), from - 1);
      weights[i] = kind === "bicubic" ? cubic(offset - rest) : offset === 0 ? 1 - rest : rest;
    }
    return { indices, weights };
  });
}

function resampleAxis(x: Value, axis: 2 | 3, to: number, kind: TensorResize): Value {
  const from = x.shape[axis] as number;
  if (from === to) return x;
  const terms = resampleTaps(from, to, kind).map(({ indices, weights }) => {
    const weight = constant(Tensor.float32(weights, axis === 2 ? [to, 1] : [to]));
    return mul(gather(x, constant(new Tensor("int32", indices, [to])), axis), weight);
  });
  return terms.reduce((sum, term) => add(sum, term));
}

/**
 * x [N, C, H, W] at another size; the value itself when the size doesn't change.
 *
 * @throws ShapeError when height or width aren't fixed numbers
 */
export function resample(x: Value, height: number, width: number, kind: TensorResize): Value {
  if (typeof x.shape[2] !== "number" || typeof x.shape[3] !== "number") {
    throw new ShapeError("resample: needs a fixed height and width");
  }
  return resampleAxis(resampleAxis(x, 2, height, kind), 3, width, kind);
}

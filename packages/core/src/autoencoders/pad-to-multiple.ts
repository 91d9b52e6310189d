/** Zero padding at the bottom and right, as diffusers pads ragged tiles before encoding. */
import { sizeOf, Tensor } from "../graph/tensor.js";

/** x [N, C, H, W] with H and W rounded up to multiples; x itself when they are. */
export function padToMultiple(x: Tensor, multiple: number): Tensor {
  const [batch, channels, height, width] = x.shape as readonly [number, number, number, number];
  const [paddedHeight, paddedWidth] = [height, width].map((size) => Math.ceil(size / multiple) * multiple) as [
    number,
    number,
  ];
  if (paddedHeight === height && paddedWidth === width) return x;
  const shape = [batch, channels, paddedHeight, paddedWidth];
  const out = new Float32Array(sizeOf(shape));
  const data = x.toFloat32();
  for (let plane = 0; plane < batch * channels; plane++) {
    for (let y = 0; y < height; y++) {
      const row = (plane * height + y) * width;
      out.set(data.subarray(row, row + width), (plane * paddedHeight + y) * paddedWidth);
    }
  }
  return Tensor.float32(out, shape);
}

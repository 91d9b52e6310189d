/**
 * Blended tiling as diffusers does it (dcae.md section 9): overlapping tiles go through the model one by one and are
 * blended linearly where they overlap.
 *
 * It bounds memory, but attention and padding see only a tile, so the result differs from that of the whole picture.
 */
import { ConfigError, ShapeError } from "../errors.js";
import { sizeOf, Tensor } from "../graph/tensor.js";
import type { BlendedPass, TilingOptions } from "../models/family.js";

export function checkTiling({ tile, stride }: TilingOptions, compression: number): void {
  for (const axis of [0, 1] as const) {
    const [size, step] = [tile[axis], stride[axis]];
    const valid = [size, step].every((value) => Number.isInteger(value) && value >= compression);
    if (!valid || step > size) {
      throw new ConfigError(`tiling: a tile of ${size} with a stride of ${step} doesn't work`, {
        hint: `Give integers of at least ${compression}, the stride not larger than the tile.`,
      });
    }
  }
}

type Planes = Tensor<"float32">;

/** Writable copy of a float32 tensor [N, C, H, W]. */
function copyOf(tensor: Tensor): Planes {
  return Tensor.float32(Float32Array.from(tensor.toFloat32()), tensor.shape);
}

/**
 * Blends the end of `before` into the start of `tile` along `axis` (2 or 3), in place:
 * tile[t] = before[end - e + t] * (1 - t/e) + tile[t] * t/e.
 */
function blend(before: Planes, tile: Planes, axis: 2 | 3, extent: number): void {
  const [from, to] = [before.shape[axis] as number, tile.shape[axis] as number];
  const e = Math.min(from, to, extent);
  // Neighbors across a seam have the same size along it: tiles of one row share their height, of one column their width.
  const inner = sizeOf(tile.shape.slice(axis + 1));
  const outer = sizeOf(tile.shape.slice(0, axis));
  for (let o = 0; o < outer; o++) {
    for (let t = 0; t < e; t++) {
      const weight = t / e;
      const source = (o * from + from - e + t) * inner;
      const target = (o * to + t) * inner;
      for (let i = 0; i < inner; i++) {
        const mixed = (before.data[source + i] as number) * (1 - weight) + (tile.data[target + i] as number) * weight;
        tile.data[target + i] = mixed;
      }
    }
  }
}

/**
 * Runs `process` over the tiles of x [N, C, H, W] and joins the results.
 *
 * Blending changes tiles in place, first with the tile above, then with the one to the left, both already blended.
 */
export async function runTiled(
  x: Tensor,
  pass: BlendedPass,
  process: (tile: Tensor) => Promise<Tensor>,
): Promise<Tensor> {
  const [height, width] = x.shape.slice(2) as [number, number];
  const rows: Planes[][] = [];
  for (let top = 0; top < height; top += pass.stride[0]) {
    const row: Planes[] = [];
    for (let left = 0; left < width; left += pass.stride[1]) {
      const range = [
        { start: top, stop: top + pass.tile[0] },
        { start: left, stop: left + pass.tile[1] },
      ];
      row.push(copyOf(await process(x.slice([undefined, undefined, ...range]))));
    }
    rows.push(row);
  }
  rows.forEach((row, r) => {
    row.forEach((tile, c) => {
      const above = rows[r - 1]?.[c];
      const left = row[c - 1];
      if (above !== undefined) blend(above, tile, 2, pass.blend[0]);
      if (left !== undefined) blend(left, tile, 3, pass.blend[1]);
    });
  });
  const kept = rows.map((row) =>
    row.map((tile) => tile.slice([undefined, undefined, { stop: pass.keep[0] }, { stop: pass.keep[1] }])),
  );
  return join(
    kept.map((row) => join(row, 3)),
    2,
  );
}

/** Concatenation along one axis. */
export function join(tensors: readonly Tensor[], axis: number): Tensor {
  const [first] = tensors;
  if (first === undefined) throw new ShapeError("join: needs at least one tensor");
  const total = tensors.reduce((sum, tensor) => sum + (tensor.shape[axis] as number), 0);
  const shape = first.shape.map((dim, i) => (i === axis ? total : dim));
  const out = new Float32Array(sizeOf(shape));
  const outer = sizeOf(shape.slice(0, axis));
  let start = 0;
  for (const tensor of tensors) {
    const block = sizeOf(tensor.shape.slice(axis));
    const data = tensor.toFloat32();
    for (let o = 0; o < outer; o++) {
      out.set(data.subarray(o * block, (o + 1) * block), o * sizeOf(shape.slice(axis)) + start);
    }
    start += block;
  }
  return Tensor.float32(out, shape);
}

/** x [N, C, H, W] with H and W rounded up to multiples by zeros at the bottom and right, as diffusers pads ragged tiles. */
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

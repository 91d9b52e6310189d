/** Joins batches [n, ...] along the first axis. */
import { ShapeError, Tensor } from "@dcae/core";

/** @throws ShapeError when there is none, or shapes differ in other axes */
export function concatenate(tensors: readonly Tensor[]): Tensor {
  const [first, ...others] = tensors;
  if (first === undefined) throw new ShapeError("concatenate: needs at least one tensor");
  if (others.length === 0) return first;
  const itemShape = first.shape.slice(1);
  const other = others.find(({ shape }) => shape.slice(1).join() !== itemShape.join());
  if (other !== undefined) {
    throw new ShapeError(`concatenate: shapes [${first.shape.join(", ")}] and [${other.shape.join(", ")}] don't fit`);
  }
  const count = tensors.reduce((sum, { shape }) => sum + (shape[0] as number), 0);
  const out = new Float32Array(tensors.reduce((sum, { size }) => sum + size, 0));
  let position = 0;
  for (const tensor of tensors) {
    out.set(tensor.toFloat32(), position);
    position += tensor.size;
  }
  return Tensor.float32(out, [count, ...itemShape]);
}

/** Tensors on their way between the host and tfjs. */
import { allocate, type DType, Tensor } from "@dcae/core/graph";
import { type Tf, type TfTensor, tfDType } from "./kernel.js";

/** A tfjs tensor of the host tensor's values. */
export function upload(tf: Tf, tensor: Tensor): TfTensor {
  const dtype = tfDType(tensor.dtype);
  const values =
    dtype === "float32" ? tensor.toFloat32().slice() : Int32Array.from(tensor.cast("int32").data as Int32Array);
  return tf.tensor(dtype === "bool" ? Uint8Array.from(values) : values, [...tensor.shape], dtype);
}

/** The host tensor of a tfjs tensor's values. */
export async function download(tensor: TfTensor, dtype: DType): Promise<Tensor> {
  const values = await tensor.data();
  if (dtype === "float32") return new Tensor("float32", Float32Array.from(values as Float32Array), tensor.shape);
  const out = allocate(dtype, values.length);
  const wide = dtype === "int64";
  for (let i = 0; i < values.length; i++) out[i] = (wide ? BigInt(values[i] as number) : values[i]) as never;
  return new Tensor(dtype, out, tensor.shape);
}

/** The type of a row of the tfjs tables, and tensors on their way between the host and tfjs. */
import { allocate, type DType, EngineError, type OpName, Tensor, type ValueOf } from "@dcae/core/graph";
import type * as tfjs from "@tensorflow/tfjs-core";

/** The module of ops: tfjs-core, or tfjs-node, which exports the same. */
export type Tf = typeof tfjs;
export type TfTensor = tfjs.Tensor;

/** Computes a value of op `K` from its inputs. May return an input; the caller takes care of that. */
export type Kernel<K extends OpName> = (tf: Tf, value: ValueOf<K>, inputs: readonly TfTensor[]) => TfTensor;

/** The dtypes of tfjs that hold ours. 64-bit integers are counters and indices here, which fit into 32 bits. */
export function tfDType(dtype: DType): "float32" | "int32" | "bool" {
  switch (dtype) {
    case "float32":
      return "float32";
    case "int32":
    case "int64":
    case "uint8":
    case "int8":
    case "int16":
    case "uint16":
      return "int32";
    case "bool":
      return "bool";
    default:
      throw new EngineError(`tfjs has no ${dtype}`, { hint: "Write the program in float32 for this engine." });
  }
}

/** Shapes of running programs are plain numbers. */
export function sizes(value: { readonly shape: readonly unknown[] }): number[] {
  return value.shape.map((dim) => {
    if (typeof dim !== "number") throw new EngineError("tfjs needs static shapes");
    return dim;
  });
}

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

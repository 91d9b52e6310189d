/** The type of a row of the tfjs tables. */
import type { DType, OpName, ValueOf } from "@dcae/core/graph";
import { EngineError } from "@dcae/core/graph";
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

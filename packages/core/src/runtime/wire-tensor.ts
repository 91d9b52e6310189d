/** Tensors as they cross to a session: plain objects with the storage array of the dtype. */
import { EngineError } from "../errors.js";
import type { StorageOf } from "../graph/dtype.js";
import { Tensor } from "../graph/tensor.js";
import type { SessionDType } from "./session-host.js";

export interface WireTensor {
  readonly name: string;
  readonly dtype: SessionDType;
  readonly shape: readonly number[];
  readonly data: StorageOf<SessionDType>;
}

/** @throws EngineError for dtypes that ONNX Runtime's JavaScript API doesn't take */
export function toWire(name: string, tensor: Tensor): WireTensor {
  const { dtype, shape } = tensor;
  if (dtype === "bfloat16" || dtype === "float8_e4m3fn" || dtype === "float8_e5m2") {
    throw new EngineError(`input "${name}": ONNX Runtime doesn't take ${dtype} from JavaScript; cast it to float32`);
  }
  return { name, dtype, shape, data: tensor.data as StorageOf<SessionDType> };
}

export function fromWire({ dtype, shape, data }: WireTensor): Tensor {
  return new Tensor(dtype, data, shape);
}

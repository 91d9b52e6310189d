/**
 * Between tensors and the little-endian row-major bytes that safetensors and npy files hold.
 */
import { CheckpointError } from "../errors.js";
import { byteSize, type DType, storageView } from "../graph/dtype.js";
import { sizeOf, Tensor } from "../graph/tensor.js";

const littleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

function checkByteOrder(elementBytes: number): void {
  if (!littleEndian && elementBytes > 1) {
    throw new CheckpointError("this machine is big-endian, but the files' arrays are little-endian: not supported");
  }
}

/**
 * A tensor over little-endian row-major bytes. They are copied only where they aren't aligned for the dtype's typed
 * array; otherwise the tensor shares their memory.
 *
 * @throws CheckpointError when the number of bytes doesn't fit the shape
 */
export function tensorFromBytes<D extends DType>(dtype: D, shape: readonly number[], bytes: Uint8Array): Tensor<D> {
  const elementBytes = byteSize(dtype);
  checkByteOrder(elementBytes);
  const length = sizeOf(shape);
  if (bytes.length !== length * elementBytes) {
    throw new CheckpointError(
      `an array of ${dtype} with shape [${shape.join(", ")}] has ${length * elementBytes} bytes, got ${bytes.length}`,
    );
  }
  // `new Uint8Array` copies in any case; `slice` of a Node Buffer would be a view.
  const aligned = bytes.byteOffset % elementBytes === 0 ? bytes : new Uint8Array(bytes);
  return new Tensor(dtype, storageView(dtype, aligned.buffer, aligned.byteOffset, length), shape);
}

/** The little-endian row-major bytes of a tensor (shared memory where its data is contiguous). */
export function bytesOfTensor(tensor: Tensor): Uint8Array {
  checkByteOrder(byteSize(tensor.dtype));
  return tensor.bytes;
}

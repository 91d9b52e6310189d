/**
 * NumPy's .npy arrays as bytes; files and .npz members use the same functions.
 */
import { DataError } from "../errors.js";
import { byteSize } from "../graph/dtype.js";
import { sizeOf, type Tensor } from "../graph/tensor.js";
import { encodeNpyHeader, parseNpyHeader } from "./npy-header.js";
import { bytesOfTensor, tensorFromBytes } from "./tensor-bytes.js";

/**
 * Reads one array. Its data shares memory with `bytes` where the alignment allows it.
 *
 * Fortran-order arrays become transposed views, so that indices mean the same as in NumPy.
 *
 * @param name for messages
 * @throws DataError when the bytes aren't a .npy file, are cut off, or hold something that isn't a numeric array
 */
export function decodeNpy(bytes: Uint8Array, name = "npy bytes"): Tensor {
  const { dtype, fortranOrder, shape, dataOffset } = parseNpyHeader(bytes, name);
  const expected = sizeOf(shape) * byteSize(dtype);
  const got = bytes.length - dataOffset;
  if (got !== expected) {
    throw new DataError(
      `${name}: an array of ${dtype} with shape (${shape.join(", ")}) has ${expected} bytes, got ${got}`,
      {
        hint: got < expected ? "The file is cut off; get it again." : "One array per file is supported.",
      },
    );
  }
  const data = bytes.subarray(dataOffset);
  return fortranOrder
    ? tensorFromBytes(dtype, [...shape].reverse(), data).transpose()
    : tensorFromBytes(dtype, shape, data);
}

/**
 * The bytes of a .npy file, in C order, equal to what `numpy.save` writes.
 *
 * @throws DataError for bfloat16 and the 8-bit floats, which NumPy doesn't have
 */
export function encodeNpy(tensor: Tensor): Uint8Array<ArrayBuffer> {
  const header = encodeNpyHeader(tensor.dtype, tensor.shape);
  const data = bytesOfTensor(tensor);
  const out = new Uint8Array(header.length + data.length);
  out.set(header);
  out.set(data, header.length);
  return out;
}

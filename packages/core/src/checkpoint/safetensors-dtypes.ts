/**
 * Names of element types in safetensors files, in the order in which the format's reference implementation sorts them
 * when it writes (by alignment; the order inside of one alignment is the reference's too, so that files are equal).
 */
import type { DType } from "../graph/dtype.js";

const rows = [
  ["BOOL", "bool"],
  ["U8", "uint8"],
  ["I8", "int8"],
  ["F8_E5M2", "float8_e5m2"],
  ["F8_E4M3", "float8_e4m3fn"],
  ["I16", "int16"],
  ["U16", "uint16"],
  ["F16", "float16"],
  ["BF16", "bfloat16"],
  ["I32", "int32"],
  ["U32", "uint32"],
  ["F32", "float32"],
  ["F64", "float64"],
  ["I64", "int64"],
  ["U64", "uint64"],
] as const satisfies readonly (readonly [string, DType])[];

export type SafetensorsDType = (typeof rows)[number][0];

const toDType: ReadonlyMap<string, DType> = new Map(rows);
const fromDType = new Map<DType, { readonly name: SafetensorsDType; readonly rank: number }>(
  rows.map(([name, dtype], rank) => [dtype, { name, rank }]),
);

/** All names, for messages. */
export const SAFETENSORS_DTYPES: readonly SafetensorsDType[] = rows.map(([name]) => name);

/** The dtype behind a name in a file; undefined for names this project doesn't read. */
export function dtypeFromSafetensors(name: string): DType | undefined {
  return toDType.get(name);
}

/** Name and sort rank (larger is written first) of a dtype. Every dtype has one. */
export function dtypeToSafetensors(dtype: DType): { readonly name: SafetensorsDType; readonly rank: number } {
  const row = fromDType.get(dtype);
  if (row === undefined) throw new RangeError(`no safetensors name for dtype ${dtype}`);
  return row;
}

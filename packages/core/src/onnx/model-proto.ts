/**
 * ONNX models as plain data, and their serialized form.
 *
 * Field numbers are those of the ONNX specification (onnx.proto3, IR version 8 and later). Of the wire format of protocol buffers
 * the writing half is here, and just what ONNX models need: a message is built as a list of encoded fields; large byte strings are
 * referenced, not copied, until `toBytes` joins everything once. Wire types: 0 varint, 2 length-delimited, 5 four bytes.
 */
import { type Dim, dimToString } from "../graph/dim.js";
import type { DType } from "../graph/dtype.js";
import type { Tensor } from "../graph/tensor.js";

/** An encoded message or field: chunks and their total length. */
export interface Encoded {
  readonly chunks: readonly Uint8Array[];
  readonly byteLength: number;
}

const EMPTY: Encoded = { chunks: [], byteLength: 0 };
const encoder = new TextEncoder();

function fromBytes(bytes: Uint8Array): Encoded {
  return { chunks: [bytes], byteLength: bytes.byteLength };
}

/** One message of several encoded fields. */
export function message(...fields: readonly Encoded[]): Encoded {
  return {
    chunks: fields.flatMap((field) => field.chunks),
    byteLength: fields.reduce((sum, field) => sum + field.byteLength, 0),
  };
}

/** Base-128 varint; negative numbers take ten bytes (two's complement), as the format demands. */
export function varint(value: number | bigint): Uint8Array {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest === 0n ? low : low | 0x80);
  } while (rest !== 0n);
  return Uint8Array.from(bytes);
}

function key(field: number, wireType: 0 | 2 | 5): Uint8Array {
  return varint((field << 3) | wireType);
}

function intField(field: number, value: number | bigint): Encoded {
  return message(fromBytes(key(field, 0)), fromBytes(varint(value)));
}

function floatField(field: number, value: number): Encoded {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return message(fromBytes(key(field, 5)), fromBytes(bytes));
}

function bytesField(field: number, bytes: Uint8Array): Encoded {
  return messageField(field, fromBytes(bytes));
}

function stringField(field: number, text: string): Encoded {
  return bytesField(field, encoder.encode(text));
}

/** A field that holds another message. */
function messageField(field: number, inner: Encoded): Encoded {
  return message(fromBytes(key(field, 2)), fromBytes(varint(inner.byteLength)), inner);
}

/** Repeated integers in packed form; nothing for an empty list. */
function packedIntsField(field: number, values: readonly (number | bigint)[]): Encoded {
  return values.length === 0 ? EMPTY : messageField(field, message(...values.map((value) => fromBytes(varint(value)))));
}

/** The message as one array. */
export function toBytes(encoded: Encoded): Uint8Array {
  const out = new Uint8Array(encoded.byteLength);
  let position = 0;
  for (const chunk of encoded.chunks) {
    out.set(chunk, position);
    position += chunk.byteLength;
  }
  return out;
}

/**
 * Operator set of the models written here: the first with GELU-era reductions taking axes as inputs throughout, and
 * supported by ONNX Runtime from 1.17 (Node and Web) on.
 */
export const ONNX_OPSET = 20;
/** IR version that goes with opset 20. */
const IR_VERSION = 9;

const dataTypes: Readonly<Record<DType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
  bfloat16: 16,
  float8_e4m3fn: 17,
  float8_e5m2: 19,
};

/** The number ONNX gives to a dtype. */
export function onnxDataType(dtype: DType): number {
  return dataTypes[dtype];
}

export type OnnxAttribute =
  | { readonly type: "int"; readonly value: number }
  | { readonly type: "ints"; readonly value: readonly number[] }
  | { readonly type: "float"; readonly value: number }
  | { readonly type: "string"; readonly value: string };

export interface OnnxNode {
  readonly opType: string;
  /** The operator set it belongs to, if not ONNX's own. Version 1 of it is meant. */
  readonly domain?: string | undefined;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

/** Bytes of an initializer outside of the model: a range of a file named relative to the model. */
export interface ExternalData {
  readonly location: string;
  readonly offset: number;
  readonly byteLength: number;
}

export interface OnnxInitializer {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: Tensor | ExternalData;
}

export interface OnnxValueInfo {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly Dim[];
}

/** An ONNX model before it is bytes. */
export interface OnnxModel {
  readonly graphName: string;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxInitializer[];
  readonly inputs: readonly OnnxValueInfo[];
  readonly outputs: readonly OnnxValueInfo[];
  /** Values between inputs and outputs whose shapes say more than what can be inferred: names of sizes. */
  readonly values?: readonly OnnxValueInfo[];
  /** Key-value pairs that viewers and loaders show. */
  readonly metadata?: Readonly<Record<string, string>>;
}

function encodeAttribute(name: string, attribute: OnnxAttribute): Encoded {
  const head = stringField(1, name);
  switch (attribute.type) {
    case "float":
      return message(head, floatField(2, attribute.value), intField(20, 1));
    case "int":
      return message(head, intField(3, attribute.value), intField(20, 2));
    case "string":
      return message(head, stringField(4, attribute.value), intField(20, 3));
    case "ints":
      return message(head, packedIntsField(8, attribute.value), intField(20, 7));
  }
}

function encodeNode(node: OnnxNode): Encoded {
  return message(
    ...node.inputs.map((name) => stringField(1, name)),
    ...node.outputs.map((name) => stringField(2, name)),
    stringField(3, node.name),
    stringField(4, node.opType),
    ...Object.entries(node.attributes).map(([name, value]) => messageField(5, encodeAttribute(name, value))),
    ...(node.domain === undefined ? [] : [stringField(7, node.domain)]),
  );
}

function encodeEntry(keyText: string, value: string): Encoded {
  return message(stringField(1, keyText), stringField(2, value));
}

function encodeInitializer({ name, dtype, shape, data }: OnnxInitializer): Encoded {
  const head = message(packedIntsField(1, shape), intField(2, onnxDataType(dtype)), stringField(8, name));
  if (!("location" in data)) return message(head, bytesField(9, data.bytes));
  return message(
    head,
    messageField(13, encodeEntry("location", data.location)),
    messageField(13, encodeEntry("offset", String(data.offset))),
    messageField(13, encodeEntry("length", String(data.byteLength))),
    intField(14, 1),
  );
}

function encodeDim(dim: Dim): Encoded {
  return typeof dim === "number" ? intField(1, dim) : stringField(2, dimToString(dim));
}

function encodeValueInfo({ name, dtype, shape }: OnnxValueInfo): Encoded {
  const dims = message(...shape.map((dim) => messageField(1, encodeDim(dim))));
  const tensorType = message(intField(1, onnxDataType(dtype)), messageField(2, dims));
  return message(stringField(1, name), messageField(2, messageField(1, tensorType)));
}

/** Serialized ModelProto. */
export function encodeModel(model: OnnxModel): Uint8Array {
  const domains = new Set(model.nodes.flatMap(({ domain }) => (domain === undefined ? [] : [domain])));
  const graph = message(
    ...model.nodes.map((node) => messageField(1, encodeNode(node))),
    stringField(2, model.graphName),
    ...model.initializers.map((initializer) => messageField(5, encodeInitializer(initializer))),
    ...model.inputs.map((info) => messageField(11, encodeValueInfo(info))),
    ...model.outputs.map((info) => messageField(12, encodeValueInfo(info))),
    ...(model.values ?? []).map((info) => messageField(13, encodeValueInfo(info))),
  );
  return toBytes(
    message(
      intField(1, IR_VERSION),
      stringField(2, "dcae"),
      messageField(7, graph),
      messageField(8, message(stringField(1, ""), intField(2, ONNX_OPSET))),
      ...[...domains].map((domain) => messageField(8, message(stringField(1, domain), intField(2, 1)))),
      ...Object.entries(model.metadata ?? {}).map(([name, value]) => messageField(14, encodeEntry(name, value))),
    ),
  );
}

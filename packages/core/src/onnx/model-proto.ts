/**
 * ONNX models as plain data, and their serialized form.
 *
 * Field numbers are those of the ONNX specification (onnx.proto3, IR version 8 and later).
 */
import type { Dim } from "../graph/dim.js";
import { dimToString } from "../graph/dim.js";
import type { DType } from "../graph/dtype.js";
import type { Tensor } from "../graph/tensor.js";
import {
  bytesField,
  type Encoded,
  floatField,
  intField,
  message,
  messageField,
  packedIntsField,
  stringField,
  toBytes,
} from "./wire.js";

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

export interface OnnxModel {
  readonly graphName: string;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxInitializer[];
  readonly inputs: readonly OnnxValueInfo[];
  readonly outputs: readonly OnnxValueInfo[];
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

/**
 * Composites: compositions of ops that the graph knows by name.
 *
 * A composite stands for an expression of its inputs, its body. Whoever knows better what to do with the whole than with the
 * parts (autodiff, the ONNX lowering, tiling, half precision, forms for a CPU) has a column in the table of composites and
 * asks for it by name; whoever doesn't takes the body, which is an ordinary expression. The idea is StableHLO's `composite`.
 */

import type { Tensor } from "../tensor.js";
import type { PixelLayout, Region, TilePlace } from "../tiling/pixel-layout.js";
import type { Value, ValueOf } from "../value.js";

type NoAttributes = Readonly<Record<never, never>>;

interface Entry<Inputs extends readonly Value[], Attributes = NoAttributes, Parts extends string = never> {
  readonly inputs: Inputs;
  readonly attributes: Attributes;
  readonly parts: Parts;
}
type Unary<Attributes = NoAttributes, Parts extends string = never> = Entry<readonly [x: Value], Attributes, Parts>;

/** Attributes of the norms. */
export interface NormAttributes {
  /** The axis that is normalized over, not negative. */
  readonly axis: number;
  readonly eps: number;
  /** How means are taken: as a reduction, or as a product with a row of 1/C, which reads rows where the axis isn't the last. */
  readonly mean: "reduction" | "product";
}

/** Attributes of the parameter-free shortcuts of residual autoencoding. */
export interface ShortcutAttributes {
  readonly outChannels: number;
  readonly factor: number;
}

/** Attributes of the attentions. */
export interface AttentionAttributes {
  /** Of the products of queries and keys. */
  readonly scale: number;
  /** Whether q, k and v are [..., N, d] or [..., d, N]. */
  readonly layout: "tokens first" | "channels first";
}

/** Every composite: its inputs, its attributes, and the names of the parts of its body that rows may refer to. */
export interface Composites {
  /** x * sigmoid(x). */
  silu: Unary<NoAttributes, "gate">;
  /** max(x, slope * x). */
  leakyRelu: Unary<{ readonly slope: number }>;
  /** x/2 * (1 + erf(x / sqrt(2))), or its approximation by tanh. */
  gelu: Unary<{ readonly approximate: "none" | "tanh" }>;
  /** x / sqrt(mean(x^2) + eps) * weight + bias. */
  rmsNorm: Entry<readonly [x: Value, weight: Value, bias: Value], NormAttributes, "normalized" | "root" | "scale">;
  /** (x - mean) / sqrt(variance + eps), times weight plus bias where there are some. */
  layerNorm: Entry<
    readonly [x: Value] | readonly [x: Value, weight: Value, bias: Value],
    NormAttributes,
    "normalized" | "root"
  >;
  /** x [N, C, H, W] standardized over groups of channels and all pixels, times weight plus bias. */
  groupNorm: Entry<readonly [x: Value, weight: Value, bias: Value], { readonly groups: number; readonly eps: number }>;
  /** Space to channels, then the mean of runs of consecutive channels. */
  averagingShortcut: Unary<ShortcutAttributes>;
  /** Every channel repeated, then channels to space. */
  duplicatingShortcut: Unary<ShortcutAttributes>;
  /** Attention with a ReLU kernel on q, k, v [B, heads, d, N]. */
  linearAttention: Entry<readonly [q: Value, k: Value, v: Value], { readonly eps: number }>;
  /** softmax(scale q k^T) v. */
  softmaxAttention: Entry<readonly [q: Value, k: Value, v: Value], AttentionAttributes, "queries" | "weights">;
}

/** Names of composites. */
export type CompositeName = keyof Composites;
/** The values that a composite takes. */
export type CompositeInputs<K extends CompositeName> = Composites[K]["inputs"];
/** The attributes of a composite. */
export type CompositeAttributes<K extends CompositeName> = Composites[K]["attributes"];

/** What a composite stands for. */
export interface CompositeBody<Parts extends string = string> {
  readonly result: Value;
  /** Values on the way to the result. */
  readonly parts: Readonly<Record<Parts, Value>>;
}

/** The attributes that the op `composite` has for composite `K`. */
export interface CompositeCallOf<K extends CompositeName> {
  readonly name: K;
  readonly attributes: CompositeAttributes<K>;
  readonly body: CompositeBody<Composites[K]["parts"]>;
}
/** A composite of any name, with its inputs and attributes. */
export type CompositeCall = { [K in CompositeName]: CompositeCallOf<K> }[CompositeName];

/** A value made by composite `K`. */
export interface CompositeOf<K extends CompositeName> extends Omit<ValueOf<"composite">, "inputs" | "attributes"> {
  readonly inputs: CompositeInputs<K>;
  readonly attributes: CompositeCallOf<K>;
}

/** One operator of ONNX. */
export interface OnnxOperator {
  readonly opType: string;
  readonly inputs: readonly (Value | Tensor)[];
  readonly attributes: Readonly<
    Record<string, { readonly type: "int" | "float"; readonly value: number } | { type: "string"; value: string }>
  >;
}

/** How a composite is computed on a part of a picture; as the rows of ops (tiling/tile-rules.ts). */
export interface CompositeTile<K extends CompositeName> {
  /** Whether the row is for this one; otherwise its body is cut. */
  fits(value: CompositeOf<K>): boolean;
  layout(value: CompositeOf<K>, inputs: readonly PixelLayout[]): PixelLayout | undefined;
  need?(value: CompositeOf<K>, region: Region): Region;
  make?(value: CompositeOf<K>, inputs: readonly Value[], place: TilePlace, make: Make<K>): Value;
  /** Pixels of the output that are made at once, along each axis. Default 1. */
  cell?(value: CompositeOf<K>): number;
}

/** The same composite at other inputs or with other attributes. */
export type Make<K extends CompositeName> = (
  inputs: CompositeInputs<K>,
  attributes?: Partial<CompositeAttributes<K>>,
) => Value;

/**
 * What is known about composite `K` as a whole. Only the body has to be there: where a column is absent, or gives undefined, the
 * body takes the composite's place.
 */
export interface CompositeRow<K extends CompositeName> {
  /** The composite in ops, as if these had been written down in its place. It may read nothing but the inputs. */
  body(inputs: CompositeInputs<K>, attributes: CompositeAttributes<K>): CompositeBody<Composites[K]["parts"]>;
  /** As one operator of the exported operator set, where ONNX Runtime computes that at least as fast as the body. */
  lower?(value: CompositeOf<K>): OnnxOperator | undefined;
  /** The gradient of each input, from that of the result; functions, so that what nobody asks for is never built. */
  gradient?(value: CompositeOf<K>, dy: Value): readonly (() => Value)[] | undefined;
  readonly tile?: CompositeTile<K>;
  /** The type to compute in where a program computes with float16: "layout" takes that of its input. */
  readonly half?: "float16" | "float32" | "layout";
  /** The same on a picture x [N, H, W, C], given as `inputs[0]`; the result has channels last, too. */
  channelsLast?(value: CompositeOf<K>, inputs: CompositeInputs<K>, make: Make<K>): Value | undefined;
  /** A form that is faster on a CPU, in training too. */
  cpu?(value: CompositeOf<K>, inputs: CompositeInputs<K>, make: Make<K>): Value | undefined;
}

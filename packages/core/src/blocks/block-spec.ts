/**
 * The blocks a stage can be made of, as data.
 *
 * Official configurations name blocks by strings (`"EViTS5GLU"`, `"GLUMBConv@4"`); here each string is parsed once into a
 * record, so that the code that builds blocks switches over `type` and never looks into a name. The block list is that of
 * dcae.md sections 2.1-2.7. `EViTS5GLU` generalizes to any list of odd kernel sizes (`EViTS3S5GLU`), which is what a
 * diffusers configuration can express with `qkv_multiscales`.
 */
import { ConfigError } from "../errors.js";

/** Normalizations (dcae.md 1.3). Where one may be absent, `null` stands for none. */
export const NORM_NAMES = ["trms2d", "bn2d", "ln2d", "rms2d"] as const;
/** Names of norms, as configurations write them. */
export type NormName = (typeof NORM_NAMES)[number];

/**
 * Activations (dcae.md 1.4). `gelu` is the tanh approximation, as in the official code; `gelu_erf` is the exact form, which
 * diffusers calls "gelu". Where one may be absent, `null` stands for none.
 */
export const ACT_NAMES = ["relu", "relu6", "hswish", "silu", "gelu", "gelu_erf", "mish", "linear", "lrelu"] as const;
/** Names of activations, as configurations write them. */
export type ActName = (typeof ACT_NAMES)[number];

/** One kind of block with its options. All of them keep the number of channels and the size. */
export type BlockSpec =
  /** Two 3x3 convolutions (2.1). */
  | { readonly type: "ResBlock" }
  /** Linear attention plus gated convolution (2.6); one extra attention scale per odd kernel size in `scales`. */
  | { readonly type: "EViTGLU"; readonly scales: readonly number[] }
  /** As EViTGLU without scales, with normalized queries and keys (2.4, last paragraph). */
  | { readonly type: "EViTNormQKGLU" }
  /** ResBlock whose first convolution is multiplied by a gate of odd kernel size `gateKernel` (2.7). */
  | { readonly type: "GLUResBlock"; readonly gateKernel: number }
  /** ResBlock with channel attention after the first (1) or second (2) convolution (2.7). */
  | {
      readonly type: "ChannelAttentionResBlock";
      readonly attention: "SEModule" | "CoordAttnModule";
      readonly position: 1 | 2;
    }
  /** Gated inverted bottleneck with identity shortcut; round(C * expansion) hidden channels (2.5, 2.7). */
  | { readonly type: "GLUMBConv"; readonly expansion: number };

/** The forms that `parseBlockType` reads, for messages and documentation. */
export const BLOCK_TYPE_FORMS = [
  "ResBlock",
  "EViTGLU",
  "EViTS5GLU (or any odd kernel sizes, as in EViTS3S5GLU)",
  "EViTNormQKGLU",
  "GLUResBlock@<odd kernel size>",
  "ChannelAttentionResBlock@<SEModule or CoordAttnModule>[@<1 or 2>]",
  "GLUMBConv@<expansion ratio>",
] as const;

/**
 * The block that an official name stands for, in either spelling (`EViTS5GLU` or the first release's `EViTS5_GLU`).
 *
 * @throws ConfigError when the name isn't one of `BLOCK_TYPE_FORMS`
 */
export function parseBlockType(name: string): BlockSpec {
  const spec = parse(name);
  if (spec === undefined) {
    throw new ConfigError(`unknown block type ${JSON.stringify(name)}`, {
      hint: `Use one of: ${BLOCK_TYPE_FORMS.join(", ")}.`,
    });
  }
  return spec;
}

function parse(name: string): BlockSpec | undefined {
  if (name === "ResBlock" || name === "EViTNormQKGLU") return { type: name };

  const attention = /^EViT((?:S[1-9]\d{0,3})*)_?GLU$/.exec(name);
  if (attention) {
    const scales = (attention[1] ?? "").split("S").slice(1).map(Number);
    return scales.every(isOdd) ? { type: "EViTGLU", scales } : undefined;
  }

  const gate = /^GLUResBlock@([1-9]\d{0,3})$/.exec(name);
  if (gate) {
    const gateKernel = Number(gate[1]);
    return isOdd(gateKernel) ? { type: "GLUResBlock", gateKernel } : undefined;
  }

  const channel = /^ChannelAttentionResBlock@(SEModule|CoordAttnModule)(?:@([12]))?$/.exec(name);
  if (channel) {
    return {
      type: "ChannelAttentionResBlock",
      attention: channel[1] as "SEModule" | "CoordAttnModule",
      position: channel[2] === "1" ? 1 : 2,
    };
  }

  const bottleneck = /^GLUMBConv@(\d{1,4}(?:\.\d{1,6})?)$/.exec(name);
  const expansion = Number(bottleneck?.[1]);
  return expansion > 0 ? { type: "GLUMBConv", expansion } : undefined;
}

function isOdd(value: number): boolean {
  return value % 2 === 1;
}

/** The official name of a block (newest spelling); the inverse of `parseBlockType`. */
export function formatBlockType(spec: BlockSpec): string {
  switch (spec.type) {
    case "ResBlock":
    case "EViTNormQKGLU":
      return spec.type;
    case "EViTGLU":
      return `EViT${spec.scales.map((scale) => `S${scale}`).join("")}GLU`;
    case "GLUResBlock":
      return `GLUResBlock@${spec.gateKernel}`;
    case "ChannelAttentionResBlock":
      return `ChannelAttentionResBlock@${spec.attention}${spec.position === 1 ? "@1" : ""}`;
    case "GLUMBConv":
      return `GLUMBConv@${spec.expansion}`;
  }
}

/** Whether the block contains attention, so that its width must be a multiple of the head size. */
export function usesAttention(spec: BlockSpec): boolean {
  return spec.type === "EViTGLU" || spec.type === "EViTNormQKGLU";
}

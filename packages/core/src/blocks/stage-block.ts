/** The block of a stage from its description: one row per block type, so that a missing one doesn't compile. */
import { add } from "../graph/ops/elementwise.js";
import type { Scope } from "../graph/scope.js";
import type { Value } from "../graph/value.js";
import type { BlockSpec } from "./block-spec.js";
import { efficientVitBlock, gluMbConv } from "./efficient-vit-block.js";
import { type BlockOptions, channelAttentionResBlock, gluResBlock, resBlock } from "./res-block.js";

export interface StageBlockOptions extends BlockOptions {
  /** Channels per attention head. */
  readonly headDim: number;
}

type Builders = {
  readonly [T in BlockSpec["type"]]: (
    scope: Scope,
    x: Value,
    options: StageBlockOptions & Extract<BlockSpec, { readonly type: T }>,
  ) => Value;
};

const builders: Builders = {
  ResBlock: resBlock,
  EViTGLU: efficientVitBlock,
  EViTNormQKGLU: (scope, x, options) => efficientVitBlock(scope, x, { ...options, normQk: true }),
  GLUResBlock: gluResBlock,
  ChannelAttentionResBlock: channelAttentionResBlock,
  GLUMBConv: (scope, x, options) => add(gluMbConv(scope.at("main"), x, options), x),
};

/** Block `spec` of x [N, C, H, W], with the stage's norm and act. */
export function stageBlock(scope: Scope, x: Value, spec: BlockSpec, options: StageBlockOptions): Value {
  // The row of `spec.type` takes exactly that spec; TypeScript can't correlate the two.
  const builder = builders[spec.type] as (scope: Scope, x: Value, options: StageBlockOptions & BlockSpec) => Value;
  return builder(scope, x, { ...options, ...spec });
}

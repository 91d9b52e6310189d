/** Public names of the blocks: functions of a scope and a value. */
export { averagingShortcut, duplicatingShortcut } from "../graph/ops/composites.js";
export { activation } from "./activation.js";
export { channelAttention } from "./channel-attention.js";
export { type ConvLayerOptions, type ConvOptions, conv, convLayer, fanInUniform } from "./conv.js";
export { type EfficientVitOptions, efficientVitBlock } from "./efficient-vit-block.js";
export { type GluMbConvOptions, gluMbConv } from "./glumb-conv.js";
export { type LiteMlaOptions, liteMla } from "./lite-mla.js";
export { norm } from "./norm.js";
export {
  type DecoderProjectOutOptions,
  decoderProjectIn,
  decoderProjectOut,
  type EncoderProjectOutOptions,
  encoderProjectIn,
  encoderProjectOut,
} from "./projection.js";
export {
  type BlockOptions,
  type ChannelAttentionOptions,
  channelAttentionResBlock,
  gluResBlock,
  resBlock,
} from "./res-block.js";
export { downsampleBlock, downsampleConv, upsampleBlock, upsampleConv } from "./resample.js";
export { type StageBlockOptions, stageBlock } from "./stage-block.js";

/** Public names of the blocks: functions of a scope and a value. */
export { averagingShortcut, duplicatingShortcut } from "../graph/ops/composites.js";
export {
  type EfficientVitOptions,
  efficientVitBlock,
  type GluMbConvOptions,
  gluMbConv,
  type LiteMlaOptions,
  liteMla,
} from "./efficient-vit-block.js";
export { activation, type ConvLayerOptions, type ConvOptions, conv, convLayer, fanInUniform, norm } from "./layers.js";
export {
  type BlockOptions,
  type ChannelAttentionOptions,
  channelAttention,
  channelAttentionResBlock,
  gluResBlock,
  resBlock,
} from "./res-block.js";
export {
  type DecoderProjectOutOptions,
  decoderProjectIn,
  decoderProjectOut,
  downsampleBlock,
  downsampleConv,
  type EncoderProjectOutOptions,
  encoderProjectIn,
  encoderProjectOut,
  upsampleBlock,
  upsampleConv,
} from "./resample.js";
export { type StageBlockOptions, stageBlock } from "./stage-block.js";

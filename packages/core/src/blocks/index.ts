/** Public names of the blocks: functions of a scope and a value. */
export { averagingShortcut, duplicatingShortcut } from "../graph/ops/composites.js";
export { activation, type ConvLayerOptions, type ConvOptions, conv, convLayer, fanInUniform, norm } from "./layers.js";
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
export {
  type BlockOptions,
  type ChannelAttentionOptions,
  channelAttention,
  channelAttentionResBlock,
  type EfficientVitOptions,
  efficientVitBlock,
  type GluMbConvOptions,
  gluMbConv,
  gluResBlock,
  type LiteMlaOptions,
  liteMla,
  resBlock,
  type StageBlockOptions,
  stageBlock,
} from "./stage-block.js";

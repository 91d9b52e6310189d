/** Builds the graph function of a golden block case from the reference's constructor arguments. */
import {
  activation,
  averagingShortcut,
  convLayer,
  decoderProjectIn,
  decoderProjectOut,
  downsampleBlock,
  duplicatingShortcut,
  encoderProjectIn,
  encoderProjectOut,
  gluMbConv,
  liteMla,
  norm,
  stageBlock,
  upsampleBlock,
} from "@dcae/core/blocks";
import { pixelShuffle, pixelUnshuffle, type Scope, upsampleNearest2d, type Value } from "@dcae/core/graph";
import { parseBlockType } from "../../core/src/blocks/block-spec.js";
import type { RawConfig } from "./golden.js";
import type { DcAeCase } from "./golden-dcae.js";

type Forward = (scope: Scope, x: Value) => Value;

const builders: Readonly<Record<string, (config: RawConfig, headDim: number) => Forward>> = {
  conv_layer: (c) => (scope, x) =>
    convLayer(scope, x, {
      outChannels: c.out_channels,
      kernel: c.kernel_size,
      stride: c.stride,
      groups: c.groups,
      bias: c.use_bias,
      norm: c.norm,
      act: c.act_func,
    }),
  norm: (c) => (scope, x) => norm(scope, x, c.name),
  downsample_block: (c) => (scope, x) => downsampleBlock(scope, x, c.out_channels, c.block_type, c.shortcut),
  upsample_block: (c) => (scope, x) => upsampleBlock(scope, x, c.out_channels, c.block_type, c.shortcut),
  encoder_project_in: (c) => (scope, x) =>
    encoderProjectIn(scope, x, c.out_channels, c.factor, c.downsample_block_type),
  encoder_project_out: (c) => (scope, x) =>
    encoderProjectOut(scope, x, { outChannels: c.out_channels, norm: c.norm, act: c.act, shortcut: c.shortcut }),
  decoder_project_in: (c) => (scope, x) => decoderProjectIn(scope, x, c.out_channels, c.in_channels, c.shortcut),
  decoder_project_out: (c) => (scope, x) =>
    decoderProjectOut(scope, x, {
      outChannels: c.out_channels,
      factor: c.factor,
      type: c.upsample_block_type,
      norm: c.norm,
      act: c.act,
    }),
  block: (c, headDim) => (scope, x) =>
    stageBlock(scope, x, parseBlockType(c.block_type), { norm: c.norm, act: c.act, headDim }),
  lite_mla: (c) => (scope, x) =>
    liteMla(scope, x, { headDim: c.dim, scales: c.scales, normQk: c.norm_qk, norm: c.norm[1] }),
  glumbconv: (c) => (scope, x) =>
    gluMbConv(scope, x, { expansion: c.expand_ratio, norm: c.norm[2], act: c.act_func[0] }),
  shortcut_down: (c) => (_, x) => averagingShortcut(x, c.out_channels, c.factor),
  shortcut_up: (c) => (_, x) => duplicatingShortcut(x, c.out_channels, c.factor),
  pixel_shuffle: (c) => (_, x) => pixelShuffle(x, c.factor),
  pixel_unshuffle: (c) => (_, x) => pixelUnshuffle(x, c.factor),
  nearest_upsample: (c) => (_, x) => upsampleNearest2d(x, c.factor),
  activation: (c) => (_, x) => activation(x, c.name),
};

/** Moving elements and taking means of powers of two is exact. */
const exactKinds = ["pixel_shuffle", "pixel_unshuffle", "nearest_upsample", "shortcut_down", "shortcut_up"];

export function isExact({ kind }: DcAeCase): boolean {
  return exactKinds.includes(kind);
}

export function buildGoldenBlock({ kind, config, head_dim }: DcAeCase): Forward {
  const builder = builders[kind];
  if (builder === undefined) throw new Error(`no builder for golden kind ${kind}`);
  return builder(config, head_dim ?? 32);
}

/**
 * The Deep Compression Autoencoder (paper section 3; dcae.md section 3) as two functions of a scope and a value.
 *
 * Stages are numbered from the full resolution (0) to the deepest. The encoder runs them upwards, each stage's blocks
 * first and its down-sampling last; the decoder runs them downwards, each stage's up-sampling first.
 */
import {
  decoderProjectIn,
  decoderProjectOut,
  downsampleBlock,
  encoderProjectIn,
  encoderProjectOut,
  upsampleBlock,
} from "../../blocks/resample.js";
import { stageBlock } from "../../blocks/stage-block.js";
import { shapeError } from "../../graph/infer/rule.js";
import type { Scope } from "../../graph/scope.js";
import type { Value } from "../../graph/value.js";
import type { EncodeOptions } from "../family.js";
import type { DcAeConfig, DcAeDecoderConfig, DcAeEncoderConfig } from "./dc-ae-config.js";

/** The blocks of one stage; `first` is the position of the first one in the stage's list. */
function stageBlocks(
  scope: Scope,
  x: Value,
  part: DcAeEncoderConfig | DcAeDecoderConfig,
  stage: number,
  first: number,
  headDim: number,
): Value {
  const { depthList, blockType, norm, act } = part;
  // The configuration has one entry per stage in every list (checked when it was resolved).
  const spec = blockType[stage] as NonNullable<(typeof blockType)[number]>;
  const options = { norm: norm[stage] ?? null, act: act[stage] ?? null, headDim };
  let y = x;
  for (let i = 0; i < (depthList[stage] as number); i++) {
    y = stageBlock(scope.at("op_list").at(first + i), y, spec, options);
  }
  return y;
}

/** Encoder: x [N, C, H, W] in [-1, 1] to latent [N, L, H/f, W/f]; parameters below `encoder`. */
export function dcAeEncode(scope: Scope, x: Value, config: DcAeConfig, options: EncodeOptions = {}): Value {
  const part = config.encoder;
  const place = scope.at("encoder");
  const stages = part.widthList.length;
  const factor = part.depthList[0] === 0 ? 2 : 1;
  const firstWidth = part.widthList[factor - 1] as number;
  let y = encoderProjectIn(place.at("project_in"), x, firstWidth, factor, part.downsampleBlockType);
  for (let stage = 0; stage < stages; stage++) {
    const depth = part.depthList[stage] as number;
    const at = place.at("stages").at(stage);
    y = stageBlocks(at, y, part, stage, 0, config.headDim);
    if (stage < stages - 1 && depth > 0) {
      const width = part.widthList[stage + 1] as number;
      y = downsampleBlock(at.at("op_list").at(depth), y, width, part.downsampleBlockType, part.downsampleShortcut);
    }
  }
  return encoderProjectOut(place.at("project_out"), y, {
    outChannels: config.latentChannels,
    norm: part.outNorm,
    act: part.outAct,
    shortcut: part.outShortcut,
    channels: options.latentChannels,
  });
}

/** Decoder: latent [N, L, h, w] to picture [N, C, h*f, w*f], nominally in [-1, 1]; parameters below `decoder`. */
export function dcAeDecode(scope: Scope, latent: Value, config: DcAeConfig): Value {
  const part = config.decoder;
  const place = scope.at("decoder");
  const stages = part.widthList.length;
  const channels = latent.shape[1] as number;
  const adaptive = part.inBlockType === "AdaptiveInputConvLayer";
  if (channels > config.latentChannels || (channels < config.latentChannels && !adaptive)) {
    throw shapeError("decode", [latent], `the model's latents have ${config.latentChannels} channels`);
  }
  const lastWidth = part.widthList[stages - 1] as number;
  let y = decoderProjectIn(place.at("project_in"), latent, lastWidth, config.latentChannels, part.inShortcut);
  for (let stage = stages - 1; stage >= 0; stage--) {
    const upsample = stage < stages - 1 && (part.depthList[stage] as number) > 0;
    const at = place.at("stages").at(stage);
    if (upsample) {
      const width = part.widthList[stage] as number;
      y = upsampleBlock(at.at("op_list").at(0), y, width, part.upsampleBlockType, part.upsampleShortcut);
    }
    y = stageBlocks(at, y, part, stage, upsample ? 1 : 0, config.headDim);
  }
  return decoderProjectOut(place.at("project_out"), y, {
    outChannels: config.inChannels,
    factor: part.depthList[0] === 0 ? 2 : 1,
    type: part.upsampleBlockType,
    norm: part.outNorm,
    act: part.outAct,
  });
}

/** What is known about a model without running it: sizes, shapes, work. */
import { buildDecodeProgram, buildEncodeProgram, buildKlDecodeProgram, buildKlEncodeProgram } from "@dcae/core";
import { countMacs } from "@dcae/core/graph";
import {
  countParameters,
  type ModelDescription,
  modelParameters,
  type ParameterCounts,
  sdVaeSpatialCompression,
  spatialCompression,
  toModelConfigFile,
  toOfficialConfig,
} from "@dcae/core/models";
import type { Size } from "./options/parse-values.js";
import { UsageError } from "./usage-error.js";

export interface ModelSummary {
  readonly kind: ModelDescription["kind"];
  readonly compression: number;
  readonly latentChannels: number;
  /** Whether fewer latent channels can be asked for. */
  readonly adaptive: boolean;
  readonly scalingFactor: number | null;
  readonly shiftFactor: number | null;
  readonly parameters: ParameterCounts;
  /** [1, C, H, W] that the following is for. */
  readonly pictureShape: readonly number[];
  readonly latentShape: readonly number[];
  /** Multiply-accumulates of convolutions and matrix products, per picture. */
  readonly macs: { readonly encode: number; readonly decode: number };
  /** Under the official names for DC-AE, those of diffusers for SD-VAE. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** Pixels per latent position along each axis. */
export function compressionOf(model: ModelDescription): number {
  return model.kind === "dc-ae" ? spatialCompression(model.config) : sdVaeSpatialCompression(model.config);
}

/** @throws UsageError when the size isn't a multiple of the compression */
export function summarizeModel(model: ModelDescription, [height, width]: Size): ModelSummary {
  const compression = compressionOf(model);
  if (height % compression !== 0 || width % compression !== 0) {
    throw new UsageError(
      `--size ${width}x${height}: sides must be multiples of ${compression}, the model's compression`,
    );
  }
  const pictureShape = [1, model.config.inChannels, height, width];
  const latentShape = [1, model.config.latentChannels, height / compression, width / compression];
  const [encode, decode] =
    model.kind === "dc-ae"
      ? [buildEncodeProgram(model.config, pictureShape), buildDecodeProgram(model.config, latentShape)]
      : [buildKlEncodeProgram(model.config, pictureShape), buildKlDecodeProgram(model.config, latentShape)];
  return {
    kind: model.kind,
    compression,
    latentChannels: model.config.latentChannels,
    adaptive: model.kind === "dc-ae" && model.config.encoder.outBlockType === "AdaptiveOutputConvLayer",
    scalingFactor: model.scalingFactor,
    shiftFactor: model.shiftFactor,
    parameters: countParameters(modelParameters(model)),
    pictureShape,
    latentShape,
    macs: { encode: countMacs(encode), decode: countMacs(decode) },
    config: model.kind === "dc-ae" ? toOfficialConfig(model.config) : toModelConfigFile(model, "diffusers"),
  };
}

/** Models that are small enough for tests, with weights that follow from a seed. */

import { initialWeights, type Weights } from "@dcae/core/checkpoint";
import { Autoencoder } from "@dcae/core/internal";
import { modelParameters, resolveDcAeConfig } from "@dcae/core/models";
import { createEngine } from "@dcae/core/runtime";
import { noisyWeights } from "@dcae/test-support/weights";
import { type DenoiserDescription, denoiserParameters, parseOfficialDenoiser } from "../../src/index.js";

export function tinyDescription(arch: string, changes: Readonly<Record<string, unknown>> = {}): DenoiserDescription {
  const width = arch === "sana_cls" ? { attention_head_dim: 8 } : { num_heads: 2 };
  const model = { input_size: 4, in_channels: 8, hidden_size: 16, depth: 2, patch_size: 1, num_classes: 3, ...width };
  const parsed = parseOfficialDenoiser(arch, { ...model, ...changes });
  return { ...parsed, autoencoder: null, scalingFactor: 0.5, shiftFactor: 0, classes: null };
}

export const tinyWeights = (description: DenoiserDescription): Weights =>
  noisyWeights(denoiserParameters(description.config));

/** A DC-AE that compresses by 2 to 8 channels. */
export const tinyAutoencoderConfig = resolveDcAeConfig({
  latentChannels: 8,
  encoder: { widthList: [4, 8], depthList: [1, 1], blockType: "ResBlock", norm: "trms2d", act: "silu" },
  decoder: { widthList: [4, 8], depthList: [1, 1], blockType: "ResBlock", norm: "trms2d", act: "silu" },
});

export async function tinyAutoencoder(seed = 3): Promise<Autoencoder> {
  const config = tinyAutoencoderConfig;
  const weights = initialWeights(modelParameters({ kind: "dc-ae", config }), seed);
  const engine = await createEngine({ device: "cpu", threads: 1 });
  return new Autoencoder({
    name: "tiny",
    description: { kind: "dc-ae", config, scalingFactor: 0.5, shiftFactor: null },
    weights,
    engine,
  });
}

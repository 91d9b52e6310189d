/** A DC-AE of a few thousand parameters, saved as a checkpoint. */

import { initialWeights } from "@dcae/core/checkpoint";
import { saveCheckpoint } from "@dcae/core/internal";
import { type ModelDescription, modelParameters, resolveDcAeConfig } from "@dcae/core/models";

export function tinyModel(): ModelDescription {
  const shared = { widthList: [8, 16, 32], depthList: [0, 1, 1], blockType: ["ResBlock", "ResBlock", "EViTGLU"] };
  const config = resolveDcAeConfig({ latentChannels: 8, headDim: 16, encoder: shared, decoder: shared });
  return { kind: "dc-ae", config, scalingFactor: null, shiftFactor: null };
}

export async function saveTinyModel(folder: string): Promise<string> {
  const model = tinyModel();
  await saveCheckpoint(model, initialWeights(modelParameters(model), 1), folder);
  return folder;
}

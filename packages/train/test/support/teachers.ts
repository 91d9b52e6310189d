/** Small teachers of all families with latents of one form, and trainings of students on them. */
import { join } from "node:path";
import { initialWeights } from "@dcae/core/checkpoint";
import { saveCheckpoint } from "@dcae/core/internal";
import { type ModelDescription, modelParameters, resolveSdVaeConfig } from "@dcae/core/models";
import { type DistillOptions, distillConfig } from "../../src/configs/distill-config.js";
import type { TrainingConfig } from "../../src/configs/schema.js";
import { describeModel } from "../../src/trainer/phase-start.js";
import { TINY_MODEL } from "./tiny-training.js";

export const architecture = (model: Record<string, unknown>) => describeModel({ model }).config;

export const TEACHER: ModelDescription<"dc-ae"> = {
  kind: "dc-ae",
  config: architecture(TINY_MODEL),
  scalingFactor: 0.5,
  shiftFactor: null,
};
/** A tiny autoencoder of another family with the same form of latents. */
const level = (blocks: number) => ({ channels: 8, blocks, pool: false });
export const OTHER: ModelDescription<"tiny"> = {
  kind: "tiny",
  config: {
    ...{ inChannels: 3, outChannels: 3, latentChannels: 4, act: "relu", latentMagnitude: 3, latentShift: 0.5 },
    encoder: { stem: [], levels: [level(1), level(1), level(1)] },
    decoder: { levels: [level(1), level(1), level(1)] },
  },
  scalingFactor: 1,
  shiftFactor: null,
};
export const GAUSSIAN: ModelDescription<"sd-vae"> = {
  kind: "sd-vae",
  config: resolveSdVaeConfig({ latentChannels: 4, blockOutChannels: [8, 8, 8], layersPerBlock: 1, normNumGroups: 4 }),
  scalingFactor: 0.2,
  shiftFactor: 0.1,
};
/** The teacher's encoder with a decoder of half the width. */
export const NARROW = { ...TINY_MODEL, decoder: { widthList: [4, 4, 4], depthList: [0, 1, 1] } };

/** Writes a teacher's checkpoint. @returns where */
export async function saveTeacher(folder: string, model: ModelDescription): Promise<string> {
  const place = join(folder, model.kind);
  await saveCheckpoint(model, initialWeights(modelParameters(model), 7), place, { overwrite: true });
  return place;
}

/** @param folder of the teachers' checkpoints */
export function distilled(
  folder: string,
  model: ModelDescription,
  student: typeof TINY_MODEL | typeof NARROW,
  more: Partial<DistillOptions> = {},
): TrainingConfig {
  const config = distillConfig({
    ...{ name: "distill", teacher: { init: join(folder, model.kind), model }, student: architecture(student) },
    trains: ["decoder"],
    data: { sources: [{ kind: "scenes", count: 9 }], workers: 0 },
    perceptual: "none",
    ...{ size: 16, batch: 2, steps: 6, lr: 2e-3 },
    ...more,
  });
  return { ...config, validation: { count: 2 } };
}

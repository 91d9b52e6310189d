/** A training of seconds: a small f4 autoencoder on scenes of 16x16, as the JSON file that `dcae train --config` takes. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const optimizer = { schedule: { kind: "constant", lr: 2e-3 } };

export const TINY_TRAINING = {
  name: "tiny",
  about: "for tests",
  model: {
    latentChannels: 4,
    encoder: { widthList: [4, 8, 8], depthList: [0, 1, 1] },
    decoder: { widthList: [4, 8, 8], depthList: [0, 1, 1] },
  },
  perceptual: "none",
  data: { sources: [{ kind: "scenes", count: 9 }], workers: 0, flip: true },
  validation: { count: 2 },
  phases: [
    {
      name: "phase1",
      trains: { kind: "phase", phase: 1 },
      size: 16,
      batch: 2,
      steps: 6,
      optimizer,
      ema: { decay: 0.9, warmupSteps: 4 },
      checkpointEvery: 2,
      evaluateEvery: 3,
    },
    { name: "phase2", trains: { kind: "phase", phase: 2 }, size: 32, batch: 1, accumulate: 2, steps: 2, optimizer },
    {
      name: "phase3",
      trains: { kind: "phase", phase: 3 },
      size: 32,
      batch: 2,
      steps: 2,
      optimizer,
      gan: { width: 4, layers: 2, optimizer },
    },
  ],
};

/** Writes it, changed, and gives its path. */
export function writeTraining(folder: string, name = "tiny.json", changes: object = {}): string {
  const path = join(folder, name);
  writeFileSync(path, JSON.stringify({ ...TINY_TRAINING, ...changes }));
  return path;
}

/** A diffusion training of seconds: latents of scenes at 16 pixels, and a JSON file as `dcae diffusion train --config` takes it. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { succeed } from "./cli.js";
import { makeModel } from "./tiny-models.js";

export const TINY_DIFFUSION = {
  name: "tiny",
  about: "for tests",
  denoiser: { arch: "uvit", model: { patch_size: 1, hidden_size: 16, depth: 2, num_heads: 2 } },
  data: { path: "" },
  batch: 4,
  steps: 6,
  optimizer: {
    schedule: { kind: "constant-warmup", lr: 2e-3, warmupLr: 0, warmupSteps: 3 },
    betas: [0.99, 0.99],
    weightDecay: 0.03,
  },
  ema: { decay: 0.9, warmupSteps: 4 },
  evaluateOn: 8,
  samples: { labels: ["city", 3], perLabel: 2, guidance: 2, steps: 3 },
  checkpointEvery: 2,
  evaluateEvery: 3,
} as const;

/** Writes a tiny autoencoder and the latents of 24 scenes; gives the folder of latents. */
export async function makeLatents(folder: string, name = "latents", ...flags: string[]): Promise<string> {
  const autoencoder = await makeModel(folder, `${name}-autoencoder`);
  const out = join(folder, name);
  const size = ["--size", "16", "--threads", "1", "--scaling-factor", "measure", "--shard-size", "10"];
  await succeed("latents", "--data", "synthetic", "--count", "24", "-m", autoencoder, "-o", out, ...size, ...flags);
  return out;
}

export function writeDiffusion(folder: string, name: string, latents: string, changes: object = {}): string {
  const path = join(folder, name);
  writeFileSync(path, JSON.stringify({ ...TINY_DIFFUSION, data: { path: latents }, ...changes }));
  return path;
}

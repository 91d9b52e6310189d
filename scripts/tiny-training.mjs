// Trainings of seconds for checks: a small f4 autoencoder on scenes of 16x16, without and with a GAN; a diffusion model on its latents.

/** An eps that keeps rounding from being divided by gradients that are almost 0, so that runs can be compared. */
const optimizer = { schedule: { kind: "constant", lr: 5e-4 }, clipNorm: 1, eps: 1e-3 };
const shape = { size: 16, batch: 4, steps: 6, optimizer, checkpointEvery: 2, evaluateEvery: 3 };

export const TINY_TRAINING = {
  name: "tiny",
  about: "for checks",
  model: {
    latentChannels: 4,
    encoder: { widthList: [4, 8], depthList: [0, 1] },
    decoder: { widthList: [4, 8], depthList: [0, 1], norm: ["trms2d", "bn2d"] },
  },
  perceptual: "none",
  data: { sources: [{ kind: "scenes", count: 9 }], workers: 0, flip: true },
  validation: { count: 2 },
  phases: [
    { name: "phase1", trains: { kind: "phase", phase: 1 }, ...shape },
    {
      name: "phase3",
      trains: { kind: "phase", phase: 3 },
      ...shape,
      gan: { width: 4, layers: 1, augment: ["translation"], optimizer },
    },
  ],
};

export const TINY_DIFFUSION = {
  name: "tiny-diffusion",
  about: "for checks",
  denoiser: { arch: "uvit", model: { patch_size: 1, hidden_size: 16, depth: 2, num_heads: 2 } },
  data: { path: "latents" },
  batch: 4,
  accumulate: 2,
  steps: 6,
  optimizer,
  ema: { decay: 0.9, warmupSteps: 4 },
  samples: null,
  evaluateOn: 8,
  checkpointEvery: 3,
  evaluateEvery: 3,
};

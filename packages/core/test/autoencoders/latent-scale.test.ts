/** The scale of diffusion models, and shapes of latents, without running a network. */
import { afterAll, expect, test } from "vitest";
import { ConfigError, ShapeError } from "../../src/errors.js";
import { Tensor } from "../../src/graph/index.js";
import { Autoencoder, scaleLatent, unscaleLatent } from "../../src/internal/index.js";
import { resolveSdVaeConfig } from "../../src/models/index.js";
import { createEngine } from "../../src/runtime/index.js";
import { tinyF32 } from "../support/tiny-config.js";

const engine = await createEngine({ device: "cpu", threads: 1 });
afterAll(() => engine.dispose());
const weights = { source: "none", entries: new Map(), close: async () => {} };
const parts = { name: "tiny", weights, engine };
const scaling = { scalingFactor: 0.5, shiftFactor: 3 };
const dc = new Autoencoder({ ...parts, description: { kind: "dc-ae", config: tinyF32, ...scaling } });
const kl = new Autoencoder({ ...parts, description: { kind: "sd-vae", config: resolveSdVaeConfig({}), ...scaling } });

test("(z - shift) * factor and back, the same of both kinds of models", () => {
  const latent = Tensor.float32([1, 3, 5], [3]);
  for (const model of [dc, kl]) {
    expect(model.latentScale).toEqual({ factor: 0.5, shift: 3 });
    expect([...model.scaleLatent(latent).data]).toEqual([-1, 0, 1]);
    expect([...model.unscaleLatent(model.scaleLatent(latent)).data]).toEqual([1, 3, 5]);
  }
  expect(scaleLatent(latent, { factor: 2, shift: 0 }, "it").data).toEqual(Float32Array.of(2, 6, 10));
  expect(() => unscaleLatent(latent, { factor: null, shift: 0 }, "it")).toThrow(ConfigError);
});

test("a latent has a shape for multiples of the compression only", () => {
  expect(dc.compression).toBe(32);
  expect(dc.latentShape([2, 3, 64, 96])).toEqual([2, tinyF32.latentChannels, 2, 3]);
  for (const [height, width] of [
    [48, 64],
    [64, 33],
    [0, 32],
    [-32, 32],
    [Number.NaN, 32],
  ] as const) {
    expect(() => dc.latentShape([1, 3, height, width])).toThrow(ShapeError);
    expect(() => dc.latentShape([1, 3, height, width])).toThrow(`${width}x${height} pixels aren't multiples of 32`);
  }
});

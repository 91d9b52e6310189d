/** A browser's model that can't be made leaves nothing behind: neither weights nor an engine. */
import { beforeEach, expect, test } from "vitest";
import { Autoencoder } from "../../src/autoencoders/autoencoder.js";
import type { WebLoadOptions } from "../../src/autoencoders/pretrained.browser.js";
import { loadParts, type Platform } from "../../src/autoencoders/pretrained.js";
import type { Weights } from "../../src/checkpoint/weights.js";
import { CheckpointError, ConfigError } from "../../src/errors.js";
import { buildDecodeProgram, buildEncodeProgram } from "../../src/internal/index.js";
import type { Kind } from "../../src/models/families.js";
import { createEngine } from "../../src/runtime/create-engine.browser.js";
import { memoryWeights } from "../support/memory-weights.js";
import { randomWeights } from "../support/random-weights.js";
import { tinyF32 } from "../support/tiny-config.js";

const log: string[] = [];
let weights: Weights;

// The loader's platform is an argument: weights from here, and the browser's real engine.
const platform: Platform<WebLoadOptions> = {
  check: () => undefined,
  readPicture: () => Promise.reject(new Error("no picture is read here")),
  open: async () => ({
    source: "page",
    configSource: "page config.json",
    config: undefined,
    weights: {
      ...weights,
      close: async () => {
        log.push("weights closed");
      },
    },
  }),
  createEngine: async (_checkpoint, { device = "auto", dtype = "float32" }) => {
    const engine = await createEngine({ device, dtype });
    log.push("engine made");
    return engine;
  },
};
const load = (kind: Kind, options: WebLoadOptions) => loadParts(platform, "page", options, kind);

const programs = [
  buildEncodeProgram({ kind: "dc-ae", config: tinyF32 }, [1, 3, 32, 32]),
  buildDecodeProgram({ kind: "dc-ae", config: tinyF32 }, [1, 2, 1, 1]),
];
const whole = randomWeights({ parameters: new Map(programs.flatMap(({ parameters }) => [...parameters])) }, 1);
const options = { config: tinyF32, device: "wasm" } as const;
beforeEach(() => {
  log.length = 0;
  weights = whole;
});

test("a model of the other kind", async () => {
  await expect(load("sd-vae", options)).rejects.toThrow(ConfigError);
  expect(log).toEqual(["weights closed"]);
});

test("weights that don't fit", async () => {
  weights = memoryWeights({});
  await expect(load("dc-ae", options)).rejects.toThrow(CheckpointError);
  expect(log).toEqual(["weights closed"]);
});

test("an engine that can't be had", async () => {
  const wrong = { ...options, dtype: "int8" as "float16" };
  await expect(load("dc-ae", wrong)).rejects.toThrow(/dtype: "int8"/);
  expect(log).toEqual(["weights closed"]);
});

test("a model that can be made keeps both until it is disposed", async () => {
  const model = new Autoencoder(await load("dc-ae", options));
  expect(log).toEqual(["engine made"]);
  await model.dispose();
  expect(log).toEqual(["engine made", "weights closed"]);
});

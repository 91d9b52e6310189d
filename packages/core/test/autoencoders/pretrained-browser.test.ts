/** A browser's model that can't be made leaves nothing behind: neither weights nor an engine. */
import { beforeEach, expect, test, vi } from "vitest";
import { buildDecodeProgram, buildEncodeProgram } from "../../src/autoencoders/index.js";
import { AutoencoderDC, AutoencoderKL } from "../../src/autoencoders/pretrained.browser.js";
import type { Weights } from "../../src/checkpoint/weights.js";
import { CheckpointError, ConfigError } from "../../src/errors.js";
import { memoryWeights } from "../support/memory-weights.js";
import { randomWeights } from "../support/random-weights.js";
import { tinyF32 } from "../support/tiny-config.js";

const log: string[] = [];
let weights: Weights;
vi.mock("../../src/checkpoint/hub/fetch-model.js", () => ({
  fetchModel: async () => ({
    source: "page",
    config: undefined,
    weights: {
      ...weights,
      close: async () => {
        log.push("weights closed");
      },
    },
  }),
}));
vi.mock("../../src/runtime/create-engine.browser.js", async (original) => {
  const real = await original<typeof import("../../src/runtime/create-engine.browser.js")>();
  return {
    createEngine: async (options: Parameters<typeof real.createEngine>[0]) => {
      const engine = await real.createEngine(options);
      log.push("engine made");
      return engine;
    },
  };
});

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
  await expect(AutoencoderKL.fromPretrained("page", options)).rejects.toThrow(ConfigError);
  expect(log).toEqual(["weights closed"]);
});

test("weights that don't fit", async () => {
  weights = memoryWeights({});
  await expect(AutoencoderDC.fromPretrained("page", options)).rejects.toThrow(CheckpointError);
  expect(log).toEqual(["weights closed"]);
});

test("an engine that can't be had", async () => {
  const wrong = { ...options, dtype: "int8" as "float16" };
  await expect(AutoencoderDC.fromPretrained("page", wrong)).rejects.toThrow(/dtype: "int8"/);
  expect(log).toEqual(["weights closed"]);
});

test("a model that can be made keeps both until it is disposed", async () => {
  const model = await AutoencoderDC.fromPretrained("page", options);
  expect(log).toEqual(["engine made"]);
  await model.dispose();
  expect(log).toEqual(["engine made", "weights closed"]);
});
